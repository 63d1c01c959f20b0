"""Reads what the run was asked to do, and refuses what could not work before anything is loaded."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from tiny_gpt.errors import UnusableInput

MEMORY_LIMIT_BYTES = 2 * 1024**3  # leaves room for the server on a 4 GiB machine
# Fitted to the measured peak of eight shapes from 1 to 12 layers: never below it, at most 40 % above.
FLOATS_PER_TOKEN_AND_CHANNEL = 20  # kept for the backward pass, in each layer and once more for temporaries
FLOATS_PER_LOGIT = 5  # logits, probabilities, their gradient and temporaries
VOCABULARY = 256  # one token per byte value


@dataclass(frozen=True)
class ModelShape:
    """Size of the transformer; two checkpoints are compatible when their shapes are equal."""

    n_layer: int
    n_head: int
    n_embd: int
    context_length: int


@dataclass(frozen=True)
class Schedule:
    """How long to train and how often to look; intervals are in optimizer steps."""

    max_steps: int
    eval_interval: int
    eval_batches: int
    checkpoint_interval: int
    log_interval: int
    sample_bytes: int
    seed: int


@dataclass(frozen=True)
class Hyperparameters:
    """What the optimizer is told; `batch_size` counts windows of `context_length` bytes per gradient."""

    learning_rate: float
    batch_size: int
    gradient_accumulation: int
    weight_decay: float
    warmup_steps: int
    beta1: float
    beta2: float
    grad_clip: float


@dataclass(frozen=True)
class Settings:
    """Everything a run of this recipe is told from outside."""

    run_name: str
    dataset: str
    dataset_roots: tuple[Path, ...]
    output_dir: Path
    resume_from: Path | None
    shape: ModelShape
    schedule: Schedule
    hyperparameters: Hyperparameters


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings of this run, from the variables and the configuration file a trainer is given.

    Raises: UnusableInput when something is missing, contradictory or too large for `MEMORY_LIMIT_BYTES`.
    """
    config = _read_config(environment)
    parameters, hyperparameters = config.get("model_parameters", {}), config.get("hyperparameters", {})
    roots = environment.get("TRAINHUB_DATASETS", "").split(os.pathsep)
    resume_from = environment.get("TRAINHUB_RESUME_FROM") or config.get("resume_from")
    settings = Settings(
        run_name=str(config.get("run", {}).get("name", "")),
        dataset=str(config.get("dataset") or ""),
        dataset_roots=tuple(Path(root) for root in roots if os.path.isabs(root)),
        output_dir=Path(environment["TRAINHUB_OUTPUT_DIR"]),
        resume_from=Path(resume_from) if resume_from else None,
        shape=_build(ModelShape, parameters),
        schedule=_build(Schedule, parameters),
        hyperparameters=_build(Hyperparameters, hyperparameters),
    )
    _refuse_unworkable(settings)
    return settings


def parameter_count(shape: ModelShape) -> int:
    """Trainable numbers in a model of this shape, biases and layer norms included."""
    width = shape.n_embd
    per_layer = 12 * width * width + 13 * width
    embeddings = (VOCABULARY + shape.context_length) * width
    final_norm_and_head = 2 * width + (width + 1) * VOCABULARY
    return shape.n_layer * per_layer + embeddings + final_norm_and_head


def memory_estimate_bytes(shape: ModelShape, batch_size: int) -> int:
    """Memory a training step needs, in bytes: parameters, gradients, optimizer moments and activations."""
    tokens = batch_size * shape.context_length
    channels = (shape.n_layer + 1) * FLOATS_PER_TOKEN_AND_CHANNEL * shape.n_embd
    attention = (shape.n_layer + 2) * shape.n_head * shape.context_length
    activations = tokens * (channels + attention + FLOATS_PER_LOGIT * VOCABULARY)
    return 4 * (6 * parameter_count(shape) + activations)


def _read_config(environment: Mapping[str, str]) -> dict[str, Any]:
    missing = [name for name in ("TRAINHUB_CONFIG", "TRAINHUB_OUTPUT_DIR") if not environment.get(name)]
    if missing:
        raise UnusableInput(f"{' and '.join(missing)} must be set; trainhub's runner does so")
    try:
        config = json.loads(Path(environment["TRAINHUB_CONFIG"]).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnusableInput(f"the configuration file cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise UnusableInput("the configuration file must hold one JSON object")
    return config


Group = TypeVar("Group", ModelShape, Schedule, Hyperparameters)


def _build(group: type[Group], values: Mapping[str, Any]) -> Group:
    # JSON has one number type, so 64.0 may arrive where a whole number is meant: cast to the annotated type.
    try:
        numbers: dict[str, Any] = {field.name: _cast(field.type, values[field.name]) for field in fields(group)}
        return group(**numbers)
    except KeyError as error:
        raise UnusableInput(f"the configuration has no value for {error}") from error
    except (TypeError, ValueError) as error:
        raise UnusableInput(f"a value in the configuration is not a number: {error}") from error


def _cast(kind: Any, value: Any) -> int | float:
    return int(value) if kind is int else float(value)


def _refuse_unworkable(settings: Settings) -> None:
    shape, batch_size = settings.shape, settings.hyperparameters.batch_size
    if shape.n_embd % shape.n_head:
        raise UnusableInput(
            f"n_embd ({shape.n_embd}) must be divisible by n_head ({shape.n_head}): every head gets an equal part"
        )
    needed = memory_estimate_bytes(shape, batch_size)
    if needed > MEMORY_LIMIT_BYTES:
        raise UnusableInput(
            f"a step of this size needs about {needed / 1024**3:.1f} GiB and the recipe allows "
            f"{MEMORY_LIMIT_BYTES / 1024**3:.0f} GiB; lower batch_size (and raise gradient_accumulation instead), "
            "context_length, n_embd or n_layer"
        )
