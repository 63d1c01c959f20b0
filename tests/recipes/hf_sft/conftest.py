"""A process in the recipe's environment, and a tiny model with data, made once for all test processes."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.recipes.hf_sft.environment import RECIPE, Inside, need_environment, once
from tests.recipes.trainer_process import read_recipe, schema_defaults

sys.path.insert(0, str(RECIPE))  # for the modules of the recipe that need no torch


@pytest.fixture(scope="session")
def shared_place(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that the test processes of a session have in common."""
    place = tmp_path_factory.getbasetemp()
    return place if worker_id == "master" else place.parent


@pytest.fixture(scope="session")
def inside() -> Iterator[Inside]:
    """Functions that need torch."""
    need_environment()
    process = Inside()
    yield process
    process.close()


@pytest.fixture(scope="session")
def material(shared_place: Path, inside: Inside) -> Path:
    """A dataset folder with tiny-llama, pairs/ and chats.jsonl."""
    return once(shared_place / "hf-sft-material", lambda place: inside.call("make_material", folder=place))


@pytest.fixture(scope="session")
def tiny_llama(material: Path) -> Path:
    """The folder of the base model."""
    return material / "tiny-llama"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The operator's dataset folder."""
    place = tmp_path / "datasets"
    place.mkdir()
    return place


@pytest.fixture
def variables(tmp_path: Path, folder: Path):
    """Return a function that writes a configuration and gives the variables that a trainer gets."""

    def write(dataset: str = "data.jsonl", compute: dict[str, Any] | None = None, **values: Any) -> dict[str, str]:
        config: dict[str, Any] = {"dataset": dataset, "compute": compute or {}}
        for group in ("model_parameters", "hyperparameters"):
            defaults = schema_defaults(read_recipe("hf-sft")[group])
            config[group] = {name: values.get(name, default) for name, default in defaults.items()}
        file = tmp_path / "config.json"
        file.write_text(json.dumps(config))
        return {
            "TRAINHUB_CONFIG": str(file),
            "TRAINHUB_OUTPUT_DIR": str(tmp_path),
            "TRAINHUB_DATASETS": str(folder),
        }

    return write


@pytest.fixture
def settings(variables) -> Any:
    """Return a function that gives the settings of a configuration."""
    from hf_sft.settings import read_settings  # the recipe's folder was added to the path above

    return lambda *arguments, **values: read_settings(variables(*arguments, **values))
