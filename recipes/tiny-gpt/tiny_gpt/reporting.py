"""What leaves the process: log lines, metrics lines and evaluation files."""

import json
import os
from pathlib import Path
from typing import Any


def log(level: str, message: str) -> None:
    """Print one log line; `level` is DEBUG, INFO, WARNING or ERROR."""
    print(level, message, flush=True)


def report_metrics(step: int, **values: float) -> None:
    """Print the metrics of a step as one JSON line; `progress` (0 to 1) among them moves the run's progress."""
    print(json.dumps({"step": step, **values}), flush=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file that is never seen half written; creates the folder it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".tmp-{path.stem}")  # without the ending, so that no *.json finds it
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
