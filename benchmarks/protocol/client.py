"""MLflow's own client, unchanged, against both servers: what a training script waits for."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peers.environment import python_of
from benchmarks.protocol.files import SMALL_BYTES, SMALL_FILES
from benchmarks.protocol.sides import Tracker
from benchmarks.protocol.works import Figure, Outcome, in_turn

SCRIPT = Path(__file__).with_name("real_client.py")
LIMIT_SECONDS = 300


def measure_calls(outcome: Outcome, sides: Sequence[Tracker], rounds: int, calls: int) -> None:
    """Time single calls of the client."""
    in_turn(outcome, sides, "the MLflow client", partial(_calls, calls=calls), rounds)


def _calls(side: Tracker, *, calls: int) -> Mapping[Figure, float]:
    seen = _run_client(side, what="calls", calls=calls)
    names = {"log_batch": "log_batch of 1,000 points", "log_metric": "log_metric", "get_run": "get_run"}
    return {
        Figure(f"MLflow client: {names[name]}, p50", "ms"): 1000 * statistics.median(seconds)
        for name, seconds in seen.items()
    }


def measure_folder(outcome: Outcome, sides: Sequence[Tracker], rounds: int) -> None:
    """Time a folder of small files up and down."""
    in_turn(outcome, sides, "the MLflow client's files", _folder, rounds)


def _folder(side: Tracker) -> Mapping[Figure, float]:
    seen = _run_client(side, what="files", count=SMALL_FILES, size=SMALL_BYTES)
    return {
        Figure(f"MLflow client: {name}, {SMALL_FILES} files of {SMALL_BYTES / 1e3:g} kB", "s"): seconds[0]
        for name, seconds in seen.items()
    }


def _run_client(side: Tracker, **arguments: Any) -> dict[str, list[float]]:
    """Run the script with MLflow's Python on a new run; return what it timed. Raises: RuntimeError."""
    arguments["run"] = side.new_run(side.new_experiment("the client"))["run_id"]
    settings = {
        "MLFLOW_TRACKING_URI": side.uri,
        "MLFLOW_TRACKING_TOKEN": side.token,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    }
    done = subprocess.run(
        [str(python_of("mlflow")), "-P", str(SCRIPT), json.dumps(arguments)],
        check=False,
        env={**os.environ, **{name: value for name, value in settings.items() if value}},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    if done.returncode:
        raise RuntimeError(f"{side.server}: {done.stderr.strip()[-1000:]}")
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found
