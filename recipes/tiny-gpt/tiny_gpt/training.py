"""The training loop: steps, reports, evaluations and checkpoints, until the end or the request to stop."""

import math
import time
from dataclasses import asdict
from itertools import islice, takewhile
from typing import Any

import numpy as np

from tiny_gpt.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tiny_gpt.corpus import Batch, BatchSampler, Corpus, split_corpus, validation_batches
from tiny_gpt.datasets import STANDARD_LIBRARY, read_dataset
from tiny_gpt.errors import Diverged, UnusableInput
from tiny_gpt.model import Parameters, initial_parameters, loss_and_gradient, loss_only, sample_bytes
from tiny_gpt.optimizer import AdamW, clip_gradient, learning_rate_at
from tiny_gpt.reporting import log, report_metrics, write_json
from tiny_gpt.settings import Settings, parameter_count
from tiny_gpt.stopping import StopRequest

PROMPT_BYTES = 48  # about one line of a program; the sample continues the first whole line of the validation bytes


def train(settings: Settings, stop: StopRequest) -> None:
    """Train as the settings say; on return everything worth keeping is on the disk.

    Raises: UnusableInput, Diverged.
    """
    content = read_dataset(settings.dataset, settings.dataset_roots)
    corpus = split_corpus(content, settings.shape.context_length)
    log("INFO", f"Dataset: {len(corpus.train):,} bytes to train on, {len(corpus.validation):,} to validate on")
    training = Training(settings, corpus, stop)
    if settings.resume_from:
        training.resume(load_checkpoint(settings.resume_from, settings.shape))
    write_json(settings.output_dir / "config" / "tiny-gpt.json", _described(settings))
    training.run()


class Training:
    """One run's model, optimizer and position in the data, moved along step by step."""

    def __init__(self, settings: Settings, corpus: Corpus, stop: StopRequest) -> None:
        self._settings = settings
        self._schedule = settings.schedule
        self._corpus = corpus
        self._stop = stop
        self._parameters = initial_parameters(settings.shape, settings.schedule.seed)
        self._optimizer = AdamW(self._parameters)
        self._sampler = BatchSampler(corpus.train, settings.shape.context_length, settings.schedule.seed)
        self._step = 0
        self._last_evaluation = 0
        self._last_save: int | None = None
        self._tokens = 0  # since the last report, as is the time below
        self._seconds = 0.0
        log("INFO", f"Model: {parameter_count(settings.shape):,} parameters, float32")

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on after the checkpoint's step, exactly as if the training had never stopped. Raises: UnusableInput."""
        self._parameters = checkpoint.parameters
        self._optimizer.mean, self._optimizer.variance = checkpoint.mean, checkpoint.variance
        self._optimizer.updates = checkpoint.updates
        try:
            self._sampler.restore(checkpoint.sampler)
        except (KeyError, TypeError, ValueError) as error:
            raise UnusableInput(f"the checkpoint's random state is damaged ({error!r})") from error
        self._step = self._last_save = checkpoint.step
        self._last_evaluation = checkpoint.last_evaluation
        if checkpoint.notes.get("dataset_sha256") != self._corpus.sha256:
            log("WARNING", "The dataset is not the one the checkpoint was trained on; going on with the new one")
        log("INFO", f"Resuming after step {checkpoint.step}")

    def run(self) -> None:
        """Train up to `max_steps`, or up to the end of the step in which the request to stop arrives."""
        if self._is_evaluation_due():
            self._evaluate()  # the one that a request to stop cut short before this training was resumed
        if self._step >= self._schedule.max_steps:
            log("INFO", f"Nothing to train: step {self._step} is reached and max_steps is {self._schedule.max_steps}")
            return
        while self._step < self._schedule.max_steps and not self._stop.requested:
            self._train_step()
            if self._is_evaluation_due():
                self._evaluate()
            if self._step % self._schedule.checkpoint_interval == 0:
                self._save()
        self._save()
        log("INFO", f"{'Stopped on request' if self._stop.requested else 'Training finished'} after step {self._step}")

    def _train_step(self) -> None:
        started = time.perf_counter()
        hyperparameters = self._settings.hyperparameters
        loss, accuracy, gradient = self._accumulated_gradient()
        grad_norm = clip_gradient(gradient, hyperparameters.grad_clip)
        self._step += 1
        learning_rate = learning_rate_at(self._step, self._schedule.max_steps, hyperparameters)
        is_finite = math.isfinite(loss) and math.isfinite(grad_norm)
        if is_finite:
            self._optimizer.update(self._parameters, gradient, learning_rate, hyperparameters)
        self._seconds += time.perf_counter() - started
        if not is_finite or self._is_report_due():
            self._report(loss=loss, accuracy=accuracy, learning_rate=learning_rate, grad_norm=grad_norm)
        if not is_finite:
            raise Diverged(
                f"the loss or its gradient is no longer a number at step {self._step}; "
                "resume from an earlier checkpoint with a lower learning_rate, or set grad_clip"
            )

    def _accumulated_gradient(self) -> tuple[float, float, Parameters]:
        batch_size = self._settings.hyperparameters.batch_size
        count = self._settings.hyperparameters.gradient_accumulation
        loss, accuracy, total = self._gradient_of(self._sampler.draw(batch_size))
        for _ in range(count - 1):
            batch_loss, batch_accuracy, gradient = self._gradient_of(self._sampler.draw(batch_size))
            loss, accuracy = loss + batch_loss, accuracy + batch_accuracy
            for name, part in gradient.items():
                total[name] += part
        for part in total.values():
            np.divide(part, count, out=part)
        return loss / count, accuracy / count, total

    def _gradient_of(self, batch: Batch) -> tuple[float, float, Parameters]:
        inputs, targets = batch
        self._tokens += targets.size
        return loss_and_gradient(self._parameters, inputs, targets, self._settings.shape)

    def _is_report_due(self) -> bool:
        return self._step in (1, self._schedule.max_steps) or self._step % self._schedule.log_interval == 0

    def _report(self, **values: float) -> None:
        throughput = self._tokens / self._seconds
        self._tokens, self._seconds = 0, 0.0
        progress = self._step / self._schedule.max_steps
        log(
            "INFO",
            f"Step {self._step}/{self._schedule.max_steps} - loss={values['loss']:.4f} "
            f"accuracy={values['accuracy']:.3f} lr={values['learning_rate']:.2e}",
        )
        report_metrics(self._step, **values, throughput_tokens_per_s=throughput, progress=progress)

    def _is_evaluation_due(self) -> bool:
        is_last = self._step == self._schedule.max_steps
        return self._step > self._last_evaluation and (is_last or self._step % self._schedule.eval_interval == 0)

    def _evaluate(self) -> None:
        """Measure the validation loss and store a sampled text; given up without a trace when asked to stop."""
        val_loss, sample = self._validation_loss(), self._sample()
        if self._stop.requested:
            return
        report_metrics(self._step, val_loss=val_loss)
        evaluation = {
            "step": self._step,
            "val_loss": val_loss,
            "prompt": self._prompt().decode("utf-8", errors="replace"),
            "sample": sample.decode("utf-8", errors="replace"),
        }
        write_json(self._settings.output_dir / "evaluations" / f"step-{self._step:06d}.json", evaluation)
        self._last_evaluation = self._step
        log("INFO", f"Evaluation at step {self._step} - val_loss={val_loss:.4f}")

    def _validation_loss(self) -> float:
        shape, losses = self._settings.shape, []
        for inputs, targets in validation_batches(
            self._corpus.validation, shape.context_length, self._schedule.eval_batches
        ):
            if self._stop.requested:
                break
            losses.append(loss_only(self._parameters, inputs, targets, shape))
        return sum(losses) / max(1, len(losses))

    def _sample(self) -> bytes:
        # A stream of its own, from seed and step: neither training nor a resumed run sees a difference.
        stream = sample_bytes(self._parameters, self._prompt(), self._settings.shape, [self._schedule.seed, self._step])
        wanted = islice(stream, self._schedule.sample_bytes)
        return bytes(takewhile(lambda _: not self._stop.requested, wanted))

    def _prompt(self) -> bytes:
        start = self._corpus.validation[: 10 * PROMPT_BYTES].tobytes()
        whole_lines = start[start.find(b"\n") + 1 :]
        return whole_lines[:PROMPT_BYTES]

    def _save(self) -> None:
        if self._last_save == self._step:
            return
        checkpoint = Checkpoint(
            step=self._step,
            shape=self._settings.shape,
            parameters=self._parameters,
            mean=self._optimizer.mean,
            variance=self._optimizer.variance,
            updates=self._optimizer.updates,
            sampler=self._sampler.state(),
            last_evaluation=self._last_evaluation,
            notes=_described(self._settings) | {"dataset_sha256": self._corpus.sha256},
        )
        path = save_checkpoint(checkpoint, self._settings.output_dir / "checkpoints")
        self._last_save = self._step
        log("INFO", f"Saved checkpoint {path.name}")


def _described(settings: Settings) -> dict[str, Any]:
    return {
        "dataset": settings.dataset or STANDARD_LIBRARY,
        "model": asdict(settings.shape),
        "schedule": asdict(settings.schedule),
        "hyperparameters": asdict(settings.hyperparameters),
        "numpy": np.__version__,
    }
