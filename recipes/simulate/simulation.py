"""The simulated training loop: waits, reports, evaluates and saves, without learning anything."""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from curves import metrics_at, weights_at

REPORTS_PER_SECOND = 8  # often enough to look alive, few enough to read
FIRST_STEP_SECONDS = 0.1  # until the first step is done, at any pace: a slow run shows a metric soon, too
STOP_CHECK_SECONDS = 0.02  # longest wait before a request to stop is noticed
WEIGHTS_BYTES = 4096


class Simulation:
    """One simulated run, from its first step (or the step after a checkpoint) to `max_steps`."""

    def __init__(self, config: dict[str, Any], output_dir: Path) -> None:
        parameters = config["model_parameters"]
        self._output_dir = output_dir
        self._max_steps = int(parameters["max_steps"])
        self._eval_interval = int(parameters["eval_interval"])
        self._checkpoint_interval = int(parameters.get("checkpoint_interval") or self._eval_interval)
        self._steps_per_second = float(parameters["steps_per_second"])
        self._fail_at_step = parameters.get("fail_at_step")
        self._learning_rate = config["hyperparameters"].get("learning_rate")
        self._seed = str(config["run"]["id"])
        self._report_interval = max(1, round(self._steps_per_second / REPORTS_PER_SECOND))
        self._first_step = 1
        self._step = 0
        self._saved_step: int | None = None
        self._is_stopping = False

    def listen(self) -> None:
        """Take over SIGTERM and SIGINT of this process; main thread only."""
        signal.signal(signal.SIGTERM, self._note_stop)
        signal.signal(signal.SIGINT, self._note_stop)

    def resume(self, checkpoint: Path) -> None:
        """Go on after the step of a checkpoint, along the same curves. Raises: OSError, ValueError, KeyError."""
        state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        self._step = self._saved_step = int(state["step"])
        self._first_step = self._step + 1
        self._seed = str(state["seed"])
        log("INFO", f"Resuming after step {self._step}")

    def run(self) -> int:
        """Simulate until the end, a request to stop or the step to fail at; returns the exit code."""
        if self._step >= self._max_steps:
            log("INFO", f"Nothing to do: step {self._step} is reached and max_steps is {self._max_steps}")
            return 0
        log("INFO", f"Steps {self._first_step} to {self._max_steps} at {self._steps_per_second:g} per second")
        first_step_at = time.monotonic() + FIRST_STEP_SECONDS
        while self._step < self._max_steps:
            upcoming = self._next_step_to_show()
            self._wait_until(first_step_at + (upcoming - self._first_step) / self._steps_per_second)
            if self._is_stopping:
                self._step = min(self._steps_done_since(first_step_at), upcoming - 1)
                break
            self._step = upcoming
            if self._step == self._fail_at_step:
                log("ERROR", f"Simulated failure at step {self._step}, as fail_at_step asks")
                return 1
            self._show_step()
        self._save_checkpoint()
        log("INFO", f"{'Stopped on request' if self._is_stopping else 'Finished'} after step {self._step}")
        return 0

    def _note_stop(self, *_signal: object) -> None:
        # Nothing is printed here: the signal may arrive inside a print, and stdout cannot be entered twice.
        self._is_stopping = True

    def _next_step_to_show(self) -> int:
        if self._step < self._first_step:
            return self._first_step
        intervals = (self._report_interval, self._eval_interval, self._checkpoint_interval)
        candidates = [(self._step // interval + 1) * interval for interval in intervals]
        if self._fail_at_step and self._fail_at_step > self._step:
            candidates.append(self._fail_at_step)
        return min(self._max_steps, *candidates)

    def _wait_until(self, moment: float) -> None:
        # Short sleeps, because a sleep goes on after a signal was handled.
        while not self._is_stopping and (remaining := moment - time.monotonic()) > 0:
            time.sleep(min(STOP_CHECK_SECONDS, remaining))

    def _steps_done_since(self, first_step_at: float) -> int:
        elapsed_seconds = time.monotonic() - first_step_at
        if elapsed_seconds < 0:
            return self._step
        return max(self._step, self._first_step + int(elapsed_seconds * self._steps_per_second))

    def _show_step(self) -> None:
        is_evaluated = self._step % self._eval_interval == 0
        is_edge = self._step in (self._first_step, self._max_steps)
        if is_edge or is_evaluated or self._step % self._report_interval == 0:
            self._report()
        if is_evaluated:
            self._write_evaluation()
        if self._step % self._checkpoint_interval == 0:
            self._save_checkpoint()

    def _metrics(self) -> dict[str, float]:
        return metrics_at(self._seed, self._step, self._max_steps)

    def _report(self) -> None:
        metrics = self._metrics()
        log("INFO", f"Step {self._step} - loss={metrics['loss']:.2f} lr={self._learning_rate}")
        progress = self._step / self._max_steps
        print(json.dumps({"step": self._step, **metrics, "progress": progress}), flush=True)

    def _write_evaluation(self) -> None:
        metrics = self._metrics()
        evaluation = {
            "step": self._step,
            "val_loss": round(metrics["loss"] * 1.04, 4),
            "accuracy": metrics["accuracy"],
            "simulated": True,
        }
        folder = self._output_dir / "evaluations"
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".tmp-step-{self._step:06d}"  # without the ending, so that no *.json finds it
        write_to_disk(unfinished, json.dumps(evaluation, indent=2).encode())
        unfinished.replace(folder / f"step-{self._step:06d}.json")

    def _save_checkpoint(self) -> None:
        if self._saved_step == self._step:
            return
        folder = self._output_dir / "checkpoints"
        destination = folder / f"step-{self._step:06d}"
        unfinished = folder / f".tmp-{destination.name}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        state = {"step": self._step, "seed": self._seed, "loss": self._metrics()["loss"], "simulated": True}
        write_to_disk(unfinished / "state.json", json.dumps(state, indent=2).encode())
        write_to_disk(unfinished / "weights.bin", weights_at(self._seed, self._step, WEIGHTS_BYTES))
        shutil.rmtree(destination, ignore_errors=True)  # an equal one, from before a resumption
        unfinished.rename(destination)
        self._saved_step = self._step
        log("INFO", f"Saved checkpoint {destination.name}")


def log(level: str, message: str) -> None:
    """Print one log line; `level` is DEBUG, INFO, WARNING or ERROR."""
    print(level, message, flush=True)


def write_to_disk(path: Path, content: bytes) -> None:
    """Write a file and return once it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def main() -> int:
    """Simulate the run the environment describes; returns the exit code: 0 done or stopped, 1 failed, 2 bad input."""
    try:
        config = json.loads(Path(os.environ["TRAINHUB_CONFIG"]).read_text(encoding="utf-8"))
        simulation = Simulation(config, Path(os.environ["TRAINHUB_OUTPUT_DIR"]))
        simulation.listen()
        resume_from = os.environ.get("TRAINHUB_RESUME_FROM") or config.get("resume_from")
        if resume_from:
            simulation.resume(Path(resume_from))
    except (OSError, ValueError, KeyError, TypeError) as error:
        log("ERROR", f"This run cannot start, its configuration or checkpoint is unusable: {error!r}")
        return 2
    return simulation.run()
