"""Reads what the run was asked to do, and refuses what could not work before anything heavy is loaded."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from hf_sft.errors import UnusableInput


@dataclass(frozen=True)
class ModelSettings:
    """What is trained and for how long; the names and units are those of recipe.toml."""

    base_model: str
    method: str
    lora_rank: int
    lora_alpha: float
    lora_dropout: float
    lora_targets: str
    sequence_length: int
    packing: bool
    loss_on: str
    max_steps: int
    epochs: float
    eval_interval: int
    eval_examples: int
    validation_share: float
    checkpoint_interval: int
    log_interval: int
    precision: str
    gradient_checkpointing: bool
    export: str
    processes_per_node: int
    seed: int


@dataclass(frozen=True)
class Hyperparameters:
    """What the optimizer is told; `batch_size` counts sequences of one process."""

    learning_rate: float
    lr_schedule: str
    warmup_steps: int
    batch_size: int
    gradient_accumulation: int
    weight_decay: float
    beta1: float
    beta2: float
    grad_clip: float


@dataclass(frozen=True)
class Settings:
    """Everything a run of this recipe is told from outside."""

    dataset: str
    folders: tuple[Path, ...]
    output_dir: Path
    resume_from: Path | None
    node_count: int
    gpus_per_node: int
    model: ModelSettings
    hyperparameters: Hyperparameters

    @property
    def processes_per_node(self) -> int:
        """Training processes on each node, at least one."""
        return self.model.processes_per_node or max(1, self.gpus_per_node)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings of this run, from the variables and the configuration file a trainer is given.

    Raises: UnusableInput when something is missing or contradictory.
    """
    config = _read_config(environment)
    folders = environment.get("TRAINHUB_DATASETS", "").split(os.pathsep)
    resume_from = environment.get("TRAINHUB_RESUME_FROM") or config.get("resume_from")
    compute = config.get("compute") or {}
    settings = Settings(
        dataset=str(config.get("dataset") or ""),
        folders=tuple(Path(folder) for folder in folders if os.path.isabs(folder)),
        output_dir=Path(environment["TRAINHUB_OUTPUT_DIR"]),
        resume_from=Path(resume_from) if resume_from else None,
        node_count=int(compute.get("node_count") or 1),
        gpus_per_node=int(compute.get("gpus_per_node") or 0),
        model=_build(ModelSettings, config.get("model_parameters", {})),
        hyperparameters=_build(Hyperparameters, config.get("hyperparameters", {})),
    )
    _refuse_unworkable(settings)
    return settings


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


Group = TypeVar("Group", ModelSettings, Hyperparameters)


def _build(group: type[Group], values: Mapping[str, Any]) -> Group:
    # JSON has one number type, so 64.0 may arrive where a whole number is meant: cast to the annotated type.
    try:
        return group(**{field.name: field.type(values[field.name]) for field in fields(group)})  # type: ignore[operator]
    except KeyError as error:
        raise UnusableInput(f"the configuration has no value for {error}") from error
    except (TypeError, ValueError) as error:
        raise UnusableInput(f"a value in the configuration is of another kind than expected: {error}") from error


def _refuse_unworkable(settings: Settings) -> None:
    if not settings.dataset:
        raise UnusableInput("the run names no dataset: a JSONL file, a folder of them, or owner/name on the hub")
    if settings.model.export == "adapter" and settings.model.method != "lora":
        raise UnusableInput("export adapter needs method lora; with method full, export model writes the whole model")
    if settings.gpus_per_node and settings.model.processes_per_node > settings.gpus_per_node:
        raise UnusableInput(
            f"processes_per_node is {settings.model.processes_per_node}, more than the "
            f"{settings.gpus_per_node} GPUs per node that the run asks for; 0 makes one for each GPU"
        )
