"""Works of MLflow's own client, as a script for the Python that has it: `python real_client.py ARGUMENTS`, JSON.

The server is the one of MLFLOW_TRACKING_URI. Prints the seconds that each call took, by work.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Metric

FIRST_MS = 1_764_000_000_000


def timed(call: Callable[[int], object], count: int) -> list[float]:
    """Call so many times, once before that to warm up; return the seconds of each."""
    call(0)
    seconds = []
    for number in range(1, count + 1):
        started = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - started)
    return seconds


def log_calls(client: MlflowClient, run: str, calls: int) -> dict[str, list[float]]:
    """Time batches of 10 keys × 100 points, single points, and reading the run."""
    batches = [
        [
            Metric(f"key_{key}", step / (key + 1), FIRST_MS + step, step)
            for key in range(10)
            for step in range(100 * number, 100 * number + 100)
        ]
        for number in range(calls + 1)
    ]
    return {
        "log_batch": timed(lambda number: client.log_batch(run, metrics=batches[number]), calls),
        "log_metric": timed(lambda number: client.log_metric(run, "loss", 1 / (number + 1), step=number), calls),
        "get_run": timed(lambda _: client.get_run(run), calls),
    }


def move_files(client: MlflowClient, run: str, count: int, size: int) -> dict[str, list[float]]:
    """Time a folder of so many files of so many bytes, up and down."""
    with tempfile.TemporaryDirectory() as folder:
        for place in range(count):
            (Path(folder) / f"{place:04d}.bin").write_bytes(bytes(size))
        return {
            "log_artifacts": timed(lambda number: client.log_artifacts(run, folder, f"files_{number}"), 1),
            "download_artifacts": timed(lambda number: _download(run, f"files_{number}", count), 1),
        }


def _download(run: str, path: str, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        download_artifacts(run_id=run, artifact_path=path, dst_path=folder)
        found = sum(file.is_file() for file in Path(folder).rglob("*"))
        if found != count:
            raise RuntimeError(f"{found} files came of {count}")


def main(arguments: dict[str, Any]) -> None:
    """Do the works and print the seconds as JSON."""
    client = MlflowClient()
    works = log_calls if arguments.pop("what") == "calls" else move_files
    print(json.dumps(works(client, arguments.pop("run"), **arguments)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
