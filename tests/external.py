"""An external run as a trainer's MLflow client makes it, through the protocol: with everything that one logs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Post = Callable[[str, dict[str, Any]], dict[str, Any]]  # route below mlflow/ and body → the answer

METRICS = ("loss", "eval_loss", "learning_rate", "grad_norm", "train/tokens_per_second", "epoch")
MARKUP = "<script>alert(1)</script>'\"&{{ 7|add:1 }}"
RIGHT_TO_LEFT = "مرحبا \u202e gnirts \u202c 🚀 é"
ODD = {
    "markup": MARKUP,
    "right to left": RIGHT_TO_LEFT,
    "lines": "first\nsecond\n" + "third " * 200,
    "long": "word " * 1150,
    "one word": "x" * 2500,
    "nothing": "",
    "learning_rate": "0.0003",
    "max_steps": "1000",
}
TAGS = {
    "team": "nlp",
    "note/markup": MARKUP,
    "note/long": "why " * 400,
    "mlflow.user": "mara",
    "mlflow.source.name": "train/finetune.py",
    "mlflow.source.type": "LOCAL",
    "mlflow.source.git.commit": "0123456789abcdef0123456789abcdef01234567",
    "mlflow.note.content": "A first baseline.",
}
SCHEMA = '{"mlflow_colspec": [{"type": "string", "name": "prompt", "required": true}]}'


def pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def log_external_run(post: Post, project_uid: str, *, began_ms: int, steps: int = 1000, nested: int = 5) -> str:
    """Return the id of a run that goes on: 150 parameters, 6 metrics with `steps` points each, tags, nested runs."""
    start = {"experiment_id": project_uid, "user_id": "mara", "start_time": began_ms}
    made = post("runs/create", {**start, "run_name": "baseline of mara", "tags": pairs(TAGS)})
    run = made["run"]["info"]["run_id"]
    plain = {f"trainer/argument_{number:03}": f"value {number}" for number in range(150 - len(ODD))}
    given = list({**ODD, **plain}.items())
    for place in range(0, len(given), 100):
        post("runs/log-batch", {"run_id": run, "params": pairs(dict(given[place : place + 100]))})
    for number, key in enumerate(METRICS):
        values = {step: 3 / (number + 1) * math.exp(-step / 400) for step in range(1, steps + 1)}
        points = [
            {"key": key, "value": value, "timestamp": began_ms + step * 900, "step": step}
            for step, value in values.items()
        ]
        for place in range(0, steps, 1000):
            post("runs/log-batch", {"run_id": run, "metrics": points[place : place + 1000]})
    for number in range(nested):
        tags = {"mlflow.parentRunId": run, "mlflow.user": "mara"}
        post("runs/create", {**start, "run_name": f"fold {number}", "tags": pairs(tags)})
    return str(run)
