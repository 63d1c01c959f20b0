"""Makes the recipe's package importable and gives each test a place to launch trainers in."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.recipes.trainer_process import RECIPES, TrainerProcess

sys.path.insert(0, str(RECIPES / "tiny-gpt"))

Launch = Callable[..., TrainerProcess]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start a recipe's trainer as the runner would; whatever still runs at the end of the test is killed."""
    started: list[TrainerProcess] = []

    def start(recipe: str, output: str = "output", **options: object) -> TrainerProcess:
        started.append(TrainerProcess(recipe, tmp_path / output, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """A text of 22 kB in a dataset folder of its own, easy to learn."""
    folder = tmp_path / "datasets"
    folder.mkdir()
    path = folder / "verse.txt"
    path.write_text("The quick brown fox jumps over the lazy dog.\n" * 500)
    return path
