"""Launches a recipe's trainer the way the runner does, and reads what it prints without waiting for ever."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
DEADLINE_SECONDS = 30.0  # far above what any of these runs takes, even on a busy machine

SMALL_MODEL = {"n_layer": 2, "n_head": 2, "n_embd": 32, "context_length": 32}
SMALL_MODEL |= {"eval_batches": 1, "sample_bytes": 8, "log_interval": 1}


def read_recipe(name: str) -> dict[str, Any]:
    """The content of a recipe's recipe.toml."""
    return tomllib.loads((RECIPES / name / "recipe.toml").read_text())


def schema_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """The values a run gets where it names none."""
    return {name: entry["default"] for name, entry in schema["properties"].items() if "default" in entry}


class TrainerProcess:
    """A running trainer; `lines` are those read so far, as (seconds since the start, text)."""

    def __init__(
        self,
        recipe: str,
        output_dir: Path,
        *,
        model_parameters: dict[str, Any] | None = None,
        hyperparameters: dict[str, Any] | None = None,
        dataset: str = "",
        dataset_roots: tuple[Path, ...] = (),
        resume_from: Path | None = None,
        run_id: str = "run-1",
    ) -> None:
        self.output_dir = output_dir
        self.lines: list[tuple[float, str]] = []
        self._arrived: queue.Queue[tuple[float, str] | None] = queue.Queue()
        description = read_recipe(recipe)
        config = {
            "project": {"id": "project-1", "name": "Tests"},
            "run": {"id": run_id, "name": "a run", "attempt": 1},
            "dataset": dataset or description["default_dataset"],
            "model_parameters": schema_defaults(description["model_parameters"]) | (model_parameters or {}),
            "hyperparameters": schema_defaults(description["hyperparameters"]) | (hyperparameters or {}),
            "compute": {},
            "resume_from": str(resume_from) if resume_from else None,
        }
        self._start(description["command"], RECIPES / recipe, config, dataset_roots)

    def _start(self, command: list[str], recipe: Path, config: dict[str, Any], roots: tuple[Path, ...]) -> None:
        self.output_dir.mkdir(parents=True, exist_ok=True)
        config_file = self.output_dir / "run.json"
        config_file.write_text(json.dumps(config))
        variables = {"TRAINHUB_CONFIG": str(config_file), "TRAINHUB_OUTPUT_DIR": str(self.output_dir)}
        variables["TRAINHUB_DATASETS"] = os.pathsep.join(str(root) for root in roots)
        if config["resume_from"]:
            variables["TRAINHUB_RESUME_FROM"] = config["resume_from"]
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(
            [part.replace("{python}", sys.executable).replace("{recipe}", str(recipe)) for part in command],
            cwd=self.output_dir,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._arrived.put((time.monotonic() - self._started_at, line.rstrip("\n")))
        self._arrived.put(None)

    def wait_for(self, is_wanted: Callable[[str], bool]) -> str:
        """The next line that is wanted; fails when the trainer ends or the deadline passes before."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (arrived := self._arrived.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            self.lines.append(arrived)
            if is_wanted(arrived[1]):
                return arrived[1]
        raise AssertionError(f"the trainer ended before the line that was waited for: {self.lines}")

    def wait_for_step(self, step: int) -> None:
        """Return as soon as the metrics of this step or a later one have arrived."""
        self.wait_for(lambda line: line.startswith("{") and json.loads(line)["step"] >= step)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self._process.kill()
        self._process.wait(DEADLINE_SECONDS)

    def exit_code(self) -> int:
        """Wait for the end, keep all remaining lines, and return the exit code."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (arrived := self._arrived.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            self.lines.append(arrived)
        return self._process.wait(DEADLINE_SECONDS)

    @property
    def last_line(self) -> str:
        """The last line read."""
        return self.lines[-1][1]

    def metric(self, name: str) -> dict[int, float]:
        """One metric by step, from the lines read so far."""
        reports = [json.loads(line) for _, line in self.lines if line.startswith("{")]
        return {report["step"]: report[name] for report in reports if name in report}

    def checkpoints(self) -> list[Path]:
        """Finished checkpoints, oldest step first."""
        return sorted(self.output_dir.glob("checkpoints/step-*"))
