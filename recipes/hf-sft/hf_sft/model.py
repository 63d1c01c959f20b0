"""Loads tokenizer and base model, and lays LoRA matrices beside its weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, TaskType, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from hf_sft.chat import PLAIN_TEMPLATE
from hf_sft.devices import Device
from hf_sft.errors import UnusableInput
from hf_sft.places import find_place
from hf_sft.reporting import log
from hf_sft.settings import ModelSettings, Settings


@dataclass(frozen=True)
class Base:
    """A tokenizer and a model that fit each other. `dtype`: of the weights as they were stored."""

    tokenizer: Any
    model: Any
    dtype: torch.dtype


def load_base(settings: Settings, device: Device) -> Base:
    """Load what training starts from; no code of the model's folder is ever executed.

    The frozen weights of LoRA are held in bfloat16 where the matrix products are; weights that are trained in float32.
    Raises: UnusableInput.
    """
    name = settings.model.base_model
    place = find_place(name, settings.folders, "base model")
    dtype = torch.bfloat16 if device.is_bfloat16 and settings.model.method == "lora" else torch.float32
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": isinstance(place, Path)}
    try:
        config = AutoConfig.from_pretrained(str(place), **options)
        tokenizer = AutoTokenizer.from_pretrained(str(place), **options)
        model = AutoModelForCausalLM.from_pretrained(str(place), dtype=dtype, **options)
    except Exception as error:  # the hub's client and damaged files raise errors of many classes
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise UnusableInput(f"the base model {name!r} cannot be loaded: {reason}") from error
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        raise UnusableInput(f"the tokenizer of {name!r} has more tokens than its model")
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_TEMPLATE
        log("INFO", "The base model has no chat template; chats are written with a plain one")
    return Base(tokenizer=tokenizer, model=model, dtype=config.dtype or torch.float32)


def with_lora(model: Any, settings: ModelSettings) -> Any:
    """Return the model with LoRA matrices, which alone are trained, in float32. Raises: UnusableInput."""
    targets = settings.lora_targets
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=targets if targets == "all-linear" else targets.split(","),
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise UnusableInput(f"lora_targets {targets!r} does not fit this model: {error}") from error


def parameter_counts(model: Any) -> tuple[int, int]:
    """Return how many weights the model has, and how many of them are trained."""
    sizes = [(weight.numel(), weight.requires_grad) for weight in model.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, is_trained in sizes if is_trained)
