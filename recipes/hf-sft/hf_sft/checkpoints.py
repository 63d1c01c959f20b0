"""Checkpoints that are whole or absent, and what is checked before training goes on from one.

A checkpoint is a folder `step-000500`: what the Trainer saves (weights or adapter, optimizer, schedule, random states
of every process, its own state, tokenizer) and `hf-sft.json` with what this recipe adds.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from hf_sft.errors import UnusableInput
from hf_sft.settings import ModelSettings

FORMAT = "hf-sft-1"
NOTES = "hf-sft.json"
# A pickle of the Trainer's arguments that nothing here reads; it would hold paths of this machine.
LEFT_OUT = "training_args.bin"


def finish_checkpoint(saved: Path, destination: Path, notes: dict[str, Any]) -> None:
    """Move what was saved under a hidden name to its final name, once it is on the disk.

    An older checkpoint of the same name is replaced. A process killed half way leaves only hidden folders behind.
    """
    (saved / LEFT_OUT).unlink(missing_ok=True)
    (saved / NOTES).write_text(json.dumps({"format": FORMAT, **notes}, indent=2), encoding="utf-8")
    move_into_place(saved, destination)


def move_into_place(unfinished: Path, destination: Path) -> None:
    """Flush a folder to the disk and give it its final name; both lie on one file system."""
    for path in [*unfinished.rglob("*"), unfinished]:
        _flush_to_disk(path)
    destination.parent.mkdir(parents=True, exist_ok=True)
    replaced = destination.with_name(f".replaced-{destination.name}")
    shutil.rmtree(replaced, ignore_errors=True)
    if destination.exists():
        destination.rename(replaced)  # a folder that is not empty cannot be renamed over
    unfinished.rename(destination)
    _flush_to_disk(destination.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def what_must_fit(settings: ModelSettings) -> dict[str, Any]:
    """Return the settings that a checkpoint and the run that goes on from it must have in common."""
    names = ["method"]  # all weights are in the checkpoint; of LoRA's, only what was trained
    if settings.method == "lora":
        names += ["base_model", "lora_rank", "lora_alpha", "lora_targets"]
    return {name: getattr(settings, name) for name in names}


def read_notes(checkpoint: Path, settings: ModelSettings) -> dict[str, Any]:
    """Return `step` and the other notes of a checkpoint. Raises: UnusableInput when it does not fit the run."""
    if not (checkpoint / "trainer_state.json").is_file():
        raise UnusableInput(
            f"{checkpoint.name} is no checkpoint that training can go on from; those are named step-<number>"
        )
    try:
        notes: dict[str, Any] = json.loads((checkpoint / NOTES).read_text(encoding="utf-8"))
        found, step = notes["fits"], notes["step"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnusableInput(f"the checkpoint {checkpoint.name} is damaged or incomplete: {error!r}") from error
    if notes["format"] != FORMAT or type(step) is not int:
        raise UnusableInput(f"the checkpoint {checkpoint.name} has another format; this recipe reads {FORMAT!r}")
    asked = what_must_fit(settings)
    differences = [f"{key} is {found.get(key)!r}, the run asks for {asked[key]!r}" for key in asked
                   if found.get(key) != asked[key]]  # fmt: skip
    if differences:
        raise UnusableInput(f"the checkpoint {checkpoint.name} does not fit: {'; '.join(differences)}")
    return notes
