"""Launches a recipe's trainer the way the runner does, and reads what it prints without waiting for ever."""

import contextlib
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
DEADLINE_SECONDS = 400.0  # far above what any of these runs takes, even on a busy machine
SHOWN_LINES = 60  # of a trainer that ended otherwise than expected: torchrun's own account of it takes 30

SMALL_MODEL = {"n_layer": 2, "n_head": 2, "n_embd": 32, "context_length": 32}
SMALL_MODEL |= {"eval_batches": 1, "sample_bytes": 8, "log_interval": 1}


def read_recipe(name: str) -> dict[str, Any]:
    """The content of a recipe's recipe.toml."""
    return tomllib.loads((RECIPES / name / "recipe.toml").read_text())


def schema_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """The values a run gets where it names none."""
    return {name: entry["default"] for name, entry in schema.get("properties", {}).items() if "default" in entry}


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
        compute: dict[str, Any] | None = None,
        folder: Path | None = None,
        environment: dict[str, str] | None = None,
        python: Path | None = None,
    ) -> None:
        """Start the trainer of a shipped recipe, or of the recipe in a folder given by its absolute path.

        `folder`: of a program that runs by the recipe's declaration. `python`: instead of the recipe's interpreter.
        """
        self.output_dir = output_dir
        self.lines: list[tuple[float, str]] = []
        self._arrived: queue.Queue[tuple[float, str] | None] = queue.Queue()
        description = read_recipe(recipe)
        config = {
            "project": {"id": "project-1", "name": "Tests"},
            "run": {"id": run_id, "name": "a run", "attempt": 1},
            "dataset": dataset or description.get("default_dataset", ""),
            "model_parameters": schema_defaults(description.get("model_parameters", {})) | (model_parameters or {}),
            "hyperparameters": schema_defaults(description.get("hyperparameters", {})) | (hyperparameters or {}),
            "compute": compute or {},
            "resume_from": str(resume_from) if resume_from else None,
        }
        folder = folder or RECIPES / recipe
        interpreter = str(python or description.get("python", sys.executable))
        command = [
            part.replace("{python}", interpreter).replace("{recipe}", str(folder)) for part in description["command"]
        ]
        self._start(command, config, dataset_roots, description.get("environment", {}) | (environment or {}))

    def _start(
        self, command: list[str], config: dict[str, Any], roots: tuple[Path, ...], environment: dict[str, str]
    ) -> None:
        self.output_dir.mkdir(parents=True, exist_ok=True)
        config_file = self.output_dir / "run.json"
        config_file.write_text(json.dumps(config))
        variables = {"TRAINHUB_CONFIG": str(config_file), "TRAINHUB_OUTPUT_DIR": str(self.output_dir)}
        variables["TRAINHUB_DATASETS"] = os.pathsep.join(str(root) for root in roots)
        if config["resume_from"]:
            variables["TRAINHUB_RESUME_FROM"] = config["resume_from"]
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(
            command,
            cwd=self.output_dir,
            env=os.environ | environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that all its processes can be killed
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
        raise AssertionError(f"the trainer ended before the line that was waited for: {self._tail()}")

    def wait_for_step(self, step: int) -> None:
        """Return as soon as the metrics of this step or a later one have arrived."""
        self.wait_for(lambda line: line.startswith("{") and json.loads(line)["step"] >= step)

    def terminate(self) -> None:
        """Send SIGTERM, as the runner does."""
        self._process.send_signal(signal.SIGTERM)

    def terminate_all(self) -> None:
        """Send SIGTERM to it and to all that it started, as some engines do."""
        os.killpg(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to it and to all that it started, and wait for the end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(DEADLINE_SECONDS)

    def exit_code(self) -> int:
        """Wait for the end, keep all remaining lines, and return the exit code."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (arrived := self._arrived.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            self.lines.append(arrived)
        return self._process.wait(DEADLINE_SECONDS)

    def expect_end(self, exit_code: int = 0) -> None:
        """Wait for the end; fails with the last lines when it is another one."""
        found = self.exit_code()
        assert found == exit_code, f"the trainer ended with {found} in place of {exit_code}: {self._tail()}"

    def _tail(self) -> str:
        return "\n".join(["", *(f"{seconds:8.2f} s  {line}" for seconds, line in self.lines[-SHOWN_LINES:])])

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
