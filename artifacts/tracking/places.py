"""Where a file that a tracking client puts belongs: in which artifact, of what type."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass

from artifacts.models import ArtifactType
from runs.models import Run

MAX_NAME = 255  # characters of an artifact's name
# Where training programs put checkpoints by way of their MLflow loggers, as globs for each part of the path.
_CHECKPOINTS = ("checkpoints/*", "checkpoint-[0-9]*", "model/checkpoints/*")
_LIGHTNING_SUFFIX = ".ckpt"
_TYPES = {
    "tensorboard": ArtifactType.TENSORBOARD,
    "evaluations": ArtifactType.EVALUATION,
    "config": ArtifactType.CONFIG,
}
_INT64_DIGITS = 18  # of a step; longer ones are hashes or dates


@dataclass(frozen=True, slots=True)
class Place:
    """The artifact that a path belongs to. `source` is the artifact's own path, below which its files lie.

    `marker` is the name of the file that makes a checkpoint whole, empty where none does.
    """

    source: str
    type: ArtifactType
    is_directory: bool
    step: int | None = None
    marker: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        last = self.source.rpartition("/")[2]
        return last[:MAX_NAME] if self.step is None else f"Checkpoint @ step {self.step}"


def place_of(run: Run, path: str) -> Place:
    """Return where a new file of `run` belongs: in a checkpoint, else in what the first part of its path names."""
    parts = path.split("/")
    for pattern, marker in _patterns(run):
        length = len(pattern)
        if len(parts) >= length and all(map(fnmatch.fnmatchcase, parts, pattern)):
            source = "/".join(parts[:length])
            step = find_step(parts[length - 1])
            return Place(source, ArtifactType.CHECKPOINT, len(parts) > length, step, marker)
    if _is_of_lightning(parts):
        return Place(parts[0], ArtifactType.CHECKPOINT, is_directory=True, step=find_step(parts[0]))
    kind = _TYPES.get(parts[0], ArtifactType.OTHER)
    return Place(parts[0], kind, len(parts) > 1)


def _is_of_lightning(parts: list[str]) -> bool:
    """Tell whether a file lies where the logger of Lightning 2.6 puts a checkpoint: in a folder of the same name."""
    return len(parts) > 1 and (
        fnmatch.fnmatchcase(parts[0], "epoch=*-step=*") or parts[1:] == [f"{parts[0]}{_LIGHTNING_SUFFIX}"]
    )


def _patterns(run: Run) -> Iterator[tuple[list[str], str]]:
    recipe = run.recipe_snapshot if run.is_managed else {}
    marker = recipe.get("complete_marker", "")
    if pattern := recipe.get("checkpoint_pattern", ""):
        yield pattern.split("/"), marker
    for pattern in _CHECKPOINTS:
        yield pattern.split("/"), marker


def find_step(name: str) -> int | None:
    """Return the last number in a name, None without one: "epoch=3-step=500.ckpt" gives 500."""
    digits = re.findall(r"[0-9]+", name)
    return int(digits[-1]) if digits and len(digits[-1]) <= _INT64_DIGITS else None


def above(path: str) -> list[str]:
    """Return a path and all folders that it lies in, longest first."""
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
