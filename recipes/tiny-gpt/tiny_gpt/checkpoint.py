"""Writes checkpoints that are whole or absent, and reads back only what fits the run.

A checkpoint is a folder `step-000500` with `weights.npz` and `optimizer.npz` (arrays, no pickled objects) and
`state.json` (step, model shape, random stream, settings).
"""

import json
import os
import shutil
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tiny_gpt.errors import UnusableInput
from tiny_gpt.model import Parameters, parameter_shapes
from tiny_gpt.settings import ModelShape

FORMAT = "tiny-gpt-1"


@dataclass(frozen=True)
class Checkpoint:
    """All that a training needs to go on.

    `mean` and `variance` are AdamW's moments; `sampler` is the state of the batch sampler; `last_evaluation` is the
    step of the last finished evaluation (0: none yet); `notes` is for people and comparison, never needed to go on.
    """

    step: int
    shape: ModelShape
    parameters: Parameters
    mean: Parameters
    variance: Parameters
    updates: int
    sampler: dict[str, Any]
    last_evaluation: int
    notes: dict[str, Any]


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write a checkpoint below `folder` and return its path, once it is on the disk under its final name.

    An older checkpoint of the same step is replaced. A process killed half way leaves only a `.tmp-` folder behind.
    """
    destination = folder / f"step-{checkpoint.step:06d}"
    unfinished = folder / f".tmp-{destination.name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    moments = {f"mean.{name}": array for name, array in checkpoint.mean.items()}
    moments |= {f"variance.{name}": array for name, array in checkpoint.variance.items()}
    np.savez(unfinished / "weights.npz", allow_pickle=False, **checkpoint.parameters)
    np.savez(unfinished / "optimizer.npz", allow_pickle=False, **moments)
    (unfinished / "state.json").write_text(json.dumps(_state(checkpoint), indent=2), encoding="utf-8")
    for path in [*unfinished.iterdir(), unfinished]:
        _flush_to_disk(path)
    _move_into_place(unfinished, destination)
    return destination


def load_checkpoint(path: Path, shape: ModelShape) -> Checkpoint:
    """Read a checkpoint for a model of the given shape.

    Raises: UnusableInput when it is missing, damaged, or of a model of another shape.
    """
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        _refuse_other_model(state, shape)
        weights = _read_arrays(path / "weights.npz", shape)
        return Checkpoint(
            step=int(state["step"]),
            shape=shape,
            parameters=weights,
            mean=_read_arrays(path / "optimizer.npz", shape, prefix="mean."),
            variance=_read_arrays(path / "optimizer.npz", shape, prefix="variance."),
            updates=int(state["updates"]),
            sampler=state["sampler"],
            last_evaluation=int(state["last_evaluation"]),
            notes=state["notes"],
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UnusableInput(f"the checkpoint {path.name} is damaged or incomplete ({reason})") from error


def _state(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "step": checkpoint.step,
        "model": asdict(checkpoint.shape),
        "updates": checkpoint.updates,
        "sampler": checkpoint.sampler,
        "last_evaluation": checkpoint.last_evaluation,
        "notes": checkpoint.notes,
    }


def _refuse_other_model(state: dict[str, Any], shape: ModelShape) -> None:
    if state["format"] != FORMAT:
        raise UnusableInput(f"the checkpoint has the format {state['format']!r}; this recipe reads {FORMAT!r}")
    found, asked = state["model"], asdict(shape)
    differences = [
        f"{key} is {found.get(key)}, the run asks for {asked[key]}" for key in asked if found.get(key) != asked[key]
    ]
    if differences:
        raise UnusableInput(f"the checkpoint holds a model of another shape: {'; '.join(differences)}")


def _read_arrays(path: Path, shape: ModelShape, prefix: str = "") -> Parameters:
    with np.load(path, allow_pickle=False) as archive:
        return {
            name: _as_expected(name, archive[prefix + name], expected)
            for name, expected in parameter_shapes(shape).items()
        }


def _as_expected(name: str, array: npt.NDArray[Any], expected: tuple[int, ...]) -> npt.NDArray[np.float32]:
    if array.shape != expected or array.dtype != np.float32:
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, not float32 of shape {expected}")
    return array


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move_into_place(unfinished: Path, destination: Path) -> None:
    replaced = destination.with_name(f".tmp-replaced-{destination.name}")
    shutil.rmtree(replaced, ignore_errors=True)
    if destination.exists():
        destination.rename(replaced)  # a folder that is not empty cannot be renamed over
    unfinished.rename(destination)
    _flush_to_disk(destination.parent)
    shutil.rmtree(replaced, ignore_errors=True)
