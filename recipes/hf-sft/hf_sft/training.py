"""One training from settings to export: what is loaded, and in which order."""

import platform
import warnings
from typing import Any

import peft
import torch
import transformers
from transformers import TrainingArguments, set_seed

from hf_sft.arguments import make_arguments
from hf_sft.checkpoints import read_notes, what_must_fit
from hf_sft.devices import Device, choose_device
from hf_sft.errors import Stopped
from hf_sft.export import export
from hf_sft.flops import cost_of_token, peak_of
from hf_sft.model import Base, load_base, parameter_counts, with_lora
from hf_sft.records import read_dataset
from hf_sft.reporting import is_first_process, log
from hf_sft.rows import Rows, make_rows
from hf_sft.settings import Settings
from hf_sft.stopping import StopRequest
from hf_sft.throughput import Throughput
from hf_sft.trainer import Job, SftTrainer


def train(settings: Settings, stop: StopRequest) -> None:
    """Train up to the last step, or up to the end of the step in which the request to stop arrives.

    Raises: UnusableInput, Diverged; Stopped when the request came before the first step.
    """
    _quieten()
    device = choose_device(settings)
    notes = read_notes(settings.resume_from, settings.model) if settings.resume_from else {}
    records = read_dataset(settings)  # before the model: what is wrong with it shows within seconds
    base = load_base(settings, device)
    rows = make_rows(settings, base, *records)
    set_seed(settings.model.seed)  # LoRA's first matrices are drawn from it
    model = with_lora(base.model, settings.model) if settings.model.method == "lora" else base.model
    trainer = _make_trainer(settings, device, base, model, rows, stop)
    trainer.job.last_evaluation = int(notes.get("last_evaluation", 0))
    if _run(trainer, settings, notes) and settings.model.export != "none" and is_first_process():
        folder, kind = trainer.job.checkpoints, settings.model.export
        path = export(model, base.tokenizer, kind=kind, checkpoints=folder, dtype=base.dtype)
        log("INFO", f"Exported {path.name}")


def _quieten() -> None:
    """Keep out of the log: progress bars, what libraries tell each other, and warnings of all processes but one."""
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    if not is_first_process():
        transformers.utils.logging.set_verbosity_error()


def _make_trainer(
    settings: Settings, device: Device, base: Base, model: Any, rows: Rows, stop: StopRequest
) -> SftTrainer:
    arguments = make_arguments(settings, device, row_count=len(rows.training))
    _describe(settings, device, model, rows, arguments)
    job = Job(
        settings=settings.model,
        checkpoints=settings.output_dir / "checkpoints",
        stop=stop,
        throughput=_throughput(model, device, arguments.world_size),
        validation=rows.validation,
        notes={
            "fits": what_must_fit(settings.model),
            "data_sha256": rows.sha256,
            "process_count": arguments.world_size,
            "versions": _versions(),
        },
    )
    return SftTrainer(
        job=job,
        model=model,
        args=arguments,
        data_collator=rows.collator,
        train_dataset=rows.training,
        processing_class=base.tokenizer,
    )


def _versions() -> dict[str, str]:
    libraries = {"torch": torch, "transformers": transformers, "peft": peft}
    return {"python": platform.python_version()} | {name: lib.__version__ for name, lib in libraries.items()}


def _throughput(model: Any, device: Device, world_size: int) -> Throughput:
    is_known = not device.is_cpu and device.is_bfloat16  # the peaks are those of bfloat16
    peak = peak_of(torch.cuda.get_device_name()) if is_known else None
    return Throughput(cost_of_token(model), peak and peak * world_size)


def _describe(settings: Settings, device: Device, model: Any, rows: Rows, arguments: TrainingArguments) -> None:
    total, trained = parameter_counts(model)
    count = len(rows.training)
    log("INFO", f"Dataset: {rows.training_count} examples in {count} sequences, {rows.validation_count} for validation")
    log("INFO", f"Model: {total:,} weights, of which {trained:,} are trained")
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if limit is not None and settings.model.sequence_length > limit:
        log("WARNING", f"The base model was made for {limit} tokens; sequence_length is larger")
    place = "the CPU" if device.is_cpu else torch.cuda.get_device_name()
    precision = "bfloat16" if device.is_bfloat16 else "float32"
    log("INFO", f"Training in {arguments.world_size} × {place}, {precision}, up to step {arguments.max_steps}")


def _run(trainer: SftTrainer, settings: Settings, notes: dict[str, Any]) -> bool:
    """Train; True when the last step was reached."""
    if trainer.is_stop_agreed():
        raise Stopped
    last_step, step = trainer.args.max_steps, int(notes.get("step", 0))
    if settings.resume_from is not None:
        _say_what_changed(trainer.job.notes, notes)
        log("INFO", f"Resuming after step {step}")
    if step >= last_step:
        log("INFO", f"Nothing to train: step {step} is reached and the last one is {last_step}")
        trainer.load_weights(str(settings.resume_from))
        return True
    trainer.train(resume_from_checkpoint=str(settings.resume_from) if settings.resume_from else None)
    step = trainer.state.global_step
    log("INFO", f"{'Stopped on request' if step < last_step else 'Training finished'} after step {step}")
    return step >= last_step


def _say_what_changed(now: dict[str, Any], before: dict[str, Any]) -> None:
    if before.get("data_sha256") != now["data_sha256"]:
        log("WARNING", "The data are not those the checkpoint was trained on; going on with the new ones")
    if before.get("process_count") != now["process_count"]:
        log("WARNING", "The number of processes differs from the checkpoint's; the order of the data changes with it")
