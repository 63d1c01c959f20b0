"""The Trainer's own arguments, made of the run's settings."""

import math

from transformers import TrainingArguments

from hf_sft.devices import Device
from hf_sft.settings import Settings

SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def make_arguments(settings: Settings, device: Device, *, row_count: int) -> TrainingArguments:
    """Return the arguments; `row_count` is the number of sequences that an epoch has."""
    model, hyperparameters = settings.model, settings.hyperparameters
    processes = settings.processes_per_node * settings.node_count
    return TrainingArguments(
        # Hidden: what the Trainer writes gets its place and name when it is whole.
        output_dir=str(settings.output_dir / "checkpoints" / ".saving"),
        max_steps=model.max_steps or steps_of_epochs(settings, row_count, processes),
        per_device_train_batch_size=hyperparameters.batch_size,
        gradient_accumulation_steps=hyperparameters.gradient_accumulation,
        learning_rate=hyperparameters.learning_rate,
        lr_scheduler_type=SCHEDULES[hyperparameters.lr_schedule],
        warmup_steps=hyperparameters.warmup_steps,
        weight_decay=hyperparameters.weight_decay,
        adam_beta1=hyperparameters.beta1,
        adam_beta2=hyperparameters.beta2,
        max_grad_norm=hyperparameters.grad_clip,
        activation_checkpointing=model.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},  # the other way loses LoRA's gradients
        bf16=device.is_bfloat16,
        use_cpu=device.is_cpu,
        ddp_backend=None if processes == 1 else "gloo" if device.is_cpu else "nccl",
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=not device.is_cpu,
        seed=model.seed,
        # The cadence of all this is the recipe's own.
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",
        logging_nan_inf_filter=False,  # would hide a loss that is no number
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
    )


def steps_of_epochs(settings: Settings, row_count: int, processes: int) -> int:
    """Return the optimizer steps that the epochs take; the last batches of an epoch may be smaller."""
    hyperparameters = settings.hyperparameters
    batches = math.ceil(math.ceil(row_count / hyperparameters.batch_size) / processes)
    return math.ceil(settings.model.epochs * math.ceil(batches / hyperparameters.gradient_accumulation))
