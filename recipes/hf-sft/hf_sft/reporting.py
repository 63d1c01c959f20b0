"""What leaves the process: log lines and metrics lines, of the first process of a distributed training alone."""

import json
import os


def is_first_process() -> bool:
    """Whether this process speaks for all; RANK is set by torchrun."""
    return os.environ.get("RANK", "0") == "0"


def log(level: str, message: str) -> None:
    """Print one log line; `level` is DEBUG, INFO, WARNING or ERROR."""
    if is_first_process():
        print(level, message, flush=True)


def report_metrics(step: int, **values: float) -> None:
    """Print the metrics of a step as one JSON line; `progress` (0 to 1) among them moves the run's progress."""
    if is_first_process():
        print(json.dumps({"step": step, **values}), flush=True)
