"""Reads the records of a dataset: JSONL files of the operator's folders, or a dataset of the hub."""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_sft.errors import UnusableInput
from hf_sft.places import find_place, is_inside
from hf_sft.settings import Settings

VALIDATION_STARTS = ("validation", "eval", "test")


@dataclass(frozen=True)
class Record:
    """One record, and where it stands, for people: `train.jsonl, line 3`."""

    place: str
    content: dict[str, Any]


def read_dataset(settings: Settings) -> tuple[list[Record], list[Record]]:
    """Return the records for training and those for validation, at most `eval_examples`; the same ones every time.

    A dataset without a validation part gives `validation_share` of its records to it, drawn by the seed.
    Raises: UnusableInput naming file and line of a record that cannot be read.
    """
    place = find_place(settings.dataset, settings.folders, "dataset")
    training, validation = read_hub(place) if isinstance(place, str) else _read_files(place, settings.folders)
    if not training:
        raise UnusableInput(f"the dataset {settings.dataset!r} holds no record to train on")
    wanted = settings.model.eval_examples
    draw = random.Random(settings.model.seed)
    if validation:
        return training, draw.sample(validation, min(wanted, len(validation)))
    count = min(wanted, round(settings.model.validation_share * len(training)))
    kept_back = set(draw.sample(range(len(training)), count))
    return (
        [record for index, record in enumerate(training) if index not in kept_back],
        [training[index] for index in sorted(kept_back)],
    )


def _read_files(place: Path, folders: Sequence[Path]) -> tuple[list[Record], list[Record]]:
    if place.is_file():
        return list(_read_lines(place)), []
    real_folders = [folder.resolve() for folder in folders]
    files = [path for path in sorted(place.glob("*.jsonl")) if not path.name.startswith(".")]
    for path in files:
        if not is_inside(path.resolve(), real_folders):
            raise UnusableInput(f"{path.name} of the dataset is a link that leads outside the dataset folders")
    validation = [path for path in files if path.name.startswith(VALIDATION_STARTS)]
    training = [path for path in files if path.name.startswith("train")]
    training = training or [path for path in files if path not in validation]
    return _joined(training), _joined(validation)


def _joined(paths: Iterable[Path]) -> list[Record]:
    return [record for path in paths for record in _read_lines(path)]


def _read_lines(path: Path) -> Iterator[Record]:
    """Yield the records of a JSONL file; empty lines are skipped."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    place = f"{path.name}, line {number}"
                    yield Record(place, _parse(line, place))
    except UnicodeDecodeError as error:
        raise UnusableInput(f"{path.name} is not UTF-8 text: {error.reason}") from error
    except OSError as error:
        raise UnusableInput(f"{path.name} cannot be read: {error.strerror}") from error


def _parse(line: str, place: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnusableInput(f"{place}: this is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise UnusableInput(f"{place}: a record must be a JSON object")
    return content


def read_hub(name: str) -> tuple[list[Record], list[Record]]:
    """Return the records of a dataset of the hub for training and validation. Raises: UnusableInput."""
    import datasets  # takes a second, and files do without it

    try:
        found = datasets.load_dataset(name)
    except Exception as error:  # the hub's client has no common class of its errors
        raise UnusableInput(f"the dataset {name!r} cannot be loaded from the hub: {_first_line(error)}") from error
    training = next((split for split in found if split.startswith("train")), None)
    if training is None:
        raise UnusableInput(f"the dataset {name!r} has no part named train; it has {', '.join(found)}")
    validation = next((split for start in VALIDATION_STARTS for split in found if split.startswith(start)), None)
    return _records(found, training), _records(found, validation) if validation else []


def _records(found: Any, split: str) -> list[Record]:
    return [Record(f"{split}, record {number}", dict(row)) for number, row in enumerate(found[split], start=1)]


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
