"""What a finished training leaves beside its checkpoints: an adapter, or a whole model."""

import shutil
from pathlib import Path
from typing import Any

import torch

from hf_sft.checkpoints import move_into_place


def export(model: Any, tokenizer: Any, *, kind: str, checkpoints: Path, dtype: torch.dtype) -> Path:
    """Write `export-adapter` or `export-model` below `checkpoints` and return its path; the model is used up by it.

    Args: model: with LoRA matrices or without; kind: adapter (with LoRA alone) or model, into whose weights LoRA's
    matrices are merged; dtype: of the weights of a whole model.

    The name has no step, so that a restart never takes it for a checkpoint to go on from.
    """
    destination = checkpoints / f"export-{kind}"
    unfinished = checkpoints / f".{destination.name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    if kind == "model":
        merged = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
        model = merged.to(dtype)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    move_into_place(unfinished, destination)
    return destination
