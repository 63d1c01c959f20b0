"""The Trainer of transformers, with this recipe's cadence, reports, evaluation and checkpoints."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

from hf_sft.checkpoints import finish_checkpoint
from hf_sft.errors import Diverged
from hf_sft.examples import IGNORED
from hf_sft.reporting import is_first_process, log, report_metrics
from hf_sft.settings import ModelSettings
from hf_sft.stopping import StopRequest
from hf_sft.throughput import Throughput


@dataclass
class Job:
    """What the trainer needs beside the Trainer's own arguments.

    `notes` go into every checkpoint; `last_evaluation` is the step of the last finished evaluation, 0 for none yet.
    """

    settings: ModelSettings
    checkpoints: Path
    stop: StopRequest
    throughput: Throughput
    validation: Sequence[Any]
    notes: dict[str, Any] = field(default_factory=dict)
    last_evaluation: int = 0

    def is_evaluation_due(self, step: int, last_step: int) -> bool:
        """Whether the validation loss belongs to this step and was not measured yet."""
        is_wanted = bool(self.validation) and step > self.last_evaluation
        return is_wanted and (step == last_step or step % self.settings.eval_interval == 0)


class SftTrainer(Trainer):
    """Trains as `Trainer` does, whose loop, optimizer, data order and resumption are used as they are."""

    def __init__(self, *, job: Job, **options: Any) -> None:
        super().__init__(**options)
        self.job = job
        self.add_callback(Cadence(self))

    def is_stop_agreed(self) -> bool:
        """Whether any process was asked to stop; all of them get the same answer at the same step."""
        wish = torch.tensor([float(self.job.stop.requested)], device=self.args.device)
        return bool(self.accelerator.reduce(wish, "sum").item() > 0)

    def load_weights(self, checkpoint: str) -> None:
        """Load the trained weights of a checkpoint without training on."""
        self._load_from_checkpoint(checkpoint)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Count the tokens of a batch and train on it."""
        self.job.throughput.count(inputs.pop("token_count"), inputs["input_ids"].shape[1])
        # With a cache of keys and values, models would overlook where packed examples begin.
        loss: torch.Tensor = super().training_step(model, {**inputs, "use_cache": False}, num_items_in_batch)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:  # noqa: ARG002
        """Report a step where a report is due; the Trainer calls this after every step, and once after the last one.

        Raises: Diverged.
        """
        if "loss" not in logs:
            return
        step, last_step = self.state.global_step, self.state.max_steps
        is_finite = all(math.isfinite(logs[name]) for name in ("loss", "grad_norm") if name in logs)
        if not is_finite or step in (1, last_step) or step % self.job.settings.log_interval == 0:
            speed = self.job.throughput.report(self.accelerator)
            report_metrics(step, **logs, **speed, epoch=float(self.state.epoch or 0), progress=step / last_step)
            log("INFO", f"Step {step}/{last_step} - loss={logs['loss']:.4f} lr={logs['learning_rate']:.2e}")
        if not is_finite:
            raise Diverged(
                f"the loss or its gradient is no longer a number at step {step}; "
                "resume from an earlier checkpoint with a lower learning_rate"
            )

    def evaluate(self, *_arguments: Any, **_options: Any) -> dict[str, float]:
        """Measure and report the validation loss; given up without a trace when asked to stop."""
        step = self.state.global_step
        devices = [] if self.args.use_cpu else [self.args.device]
        # A random stream of its own: a training that was interrupted before or after it goes on in the same way.
        with self.job.throughput.paused(), torch.random.fork_rng(devices=devices):
            loss = self._validation_loss()
        self.control.should_evaluate = False
        if loss is None:
            self.control.should_save = self.control.should_training_stop = True
            return {}
        self.job.last_evaluation = step
        report_metrics(step, eval_loss=loss)
        log("INFO", f"Evaluation at step {step} - eval_loss={loss:.4f}")
        return {"eval_loss": loss}

    @torch.no_grad()
    def _validation_loss(self) -> float | None:
        """Return the mean loss of a validation token over all processes, None when asked to stop meanwhile."""
        world, own = self.args.world_size, self.job.validation[self.args.process_index :: self.args.world_size]
        size = self.args.per_device_train_batch_size
        sums = torch.zeros(2, device=self.args.device)  # loss of all tokens, and their number
        self.model.eval()
        # As many rounds in every process: each of them asks all others whether to stop.
        for start in range(0, math.ceil(len(self.job.validation) / world), size):
            if self.is_stop_agreed():
                return None
            if rows := own[start : start + size]:
                sums += self._loss_sum(rows)
        total, count = self.accelerator.reduce(sums, "sum").tolist()
        return total / count

    def _loss_sum(self, rows: Sequence[Any]) -> torch.Tensor:
        batch = self._prepare_inputs(self.data_collator(rows))
        del batch["token_count"]
        count = (batch["labels"][:, 1:] != IGNORED).sum()
        return torch.stack([self.model(**batch, use_cache=False).loss.float() * count, count])

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save under a hidden name; when every process has written its part, the first one gives it its name."""
        step = self.state.global_step
        with self.job.throughput.paused():
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if is_first_process():
                saved, name = Path(self.args.output_dir, f"checkpoint-{step}"), f"step-{step:06d}"
                notes = {**self.job.notes, "step": step, "last_evaluation": self.job.last_evaluation}
                finish_checkpoint(saved, self.job.checkpoints / name, notes)
                log("INFO", f"Saved checkpoint {name}")


class Cadence(TrainerCallback):
    """Says after each step whether to report, evaluate, save or stop; every step is logged, `log` chooses of them."""

    def __init__(self, trainer: SftTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Make up for the evaluation that a request to stop cut short before this training was resumed."""
        if self._trainer.job.is_evaluation_due(state.global_step, state.max_steps):
            self._trainer.evaluate()
        self._trainer.job.throughput.restart()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:  # noqa: ARG002
        """Set what follows the step."""
        job, step = self._trainer.job, state.global_step
        is_stopping = self._trainer.is_stop_agreed()
        control.should_log = True
        control.should_evaluate = not is_stopping and job.is_evaluation_due(step, state.max_steps)
        is_due = step == state.max_steps or step % job.settings.checkpoint_interval == 0
        control.should_save = is_stopping or is_due
        control.should_training_stop = is_stopping or step >= state.max_steps
        return control
