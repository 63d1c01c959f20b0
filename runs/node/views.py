"""The endpoints of `runner/protocol.py`, but for artifacts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from runner.protocol import Tracking
from runs.attempts import claim_attempt, finish_attempt, record_heartbeat, record_start, tracking_token
from runs.models import Attempt
from runs.node import batches, payloads
from runs.node.auth import batch_of, body_of, ingest_endpoint, node_endpoint
from runs.recipes import at_folder, with_defaults
from runs.scheduler.room import wanted_gpus
from runs.telemetry.append import KnownSender, append_lines, append_metrics


@node_endpoint("POST")
def claim(attempt: Attempt, request: HttpRequest) -> dict[str, Any]:
    """Hand an attempt to its runner."""
    attempt = claim_attempt(attempt=attempt, claim=payloads.read_claim(body_of(request)))
    recipe = attempt.run.recipe_snapshot
    return {
        "attempt": attempt.uid,
        "command": command_of(recipe),
        "environment": recipe.get("environment", {}),
        "config": trainer_config(attempt),
        "datasets": [str(folder) for folder in settings.DATASET_FOLDERS],
        "checkpoint_pattern": recipe["checkpoint_pattern"],
        "complete_marker": recipe.get("complete_marker", ""),
        "grace_seconds": attempt.run.grace_seconds,
        "resume": resume_source(attempt),
        "log_sequence": attempt.log_sequence,
        "metric_sequence": attempt.metric_sequence,
        "nodes": wanted_gpus(attempt.run)[0],
        **tracking_access(attempt),
    }


def tracking_access(attempt: Attempt) -> dict[str, Tracking]:
    """Return what the trainer's MLflow client needs; nothing for an attempt of before there were such tokens."""
    if attempt.tracking_digest is None:
        return {}
    run = attempt.run
    return {"tracking": {"run": run.uid, "experiment": run.project.uid, "token": tracking_token(attempt.uid)}}


def command_of(recipe: dict[str, Any]) -> list[str]:
    """Return the argument list of a recipe's snapshot; nothing in it comes from a request."""
    python = recipe.get("python") or settings.TRAINER_PYTHON
    return [at_folder(item.replace("{python}", python), recipe["folder"]) for item in recipe["command"]]


def trainer_config(attempt: Attempt) -> dict[str, Any]:
    """Return what the trainer finds in TRAINHUB_CONFIG; the runner fills in `resume_from`."""
    run, recipe = attempt.run, attempt.run.recipe_snapshot
    return {
        "project": {"id": run.project.uid, "name": run.project.name},
        "run": {"id": run.uid, "name": run.name, "attempt": attempt.number},
        "dataset": run.dataset,
        "model_parameters": with_defaults(recipe.get("model_parameters", {}), run.model_parameters),
        "hyperparameters": with_defaults(recipe.get("hyperparameters", {}), run.hyperparameters),
        "compute": run.compute,
        "resume_from": None,
    }


def resume_source(attempt: Attempt) -> dict[str, Any] | None:
    """Describe the checkpoint to restore, None when the attempt begins at the beginning."""
    checkpoint = attempt.resume_from
    if checkpoint is None:
        return None
    return {
        "artifact": checkpoint.uid,
        "name": checkpoint.source.rsplit("/", 1)[-1],
        "step": checkpoint.step,
        "is_directory": checkpoint.is_directory,
        "is_direct": checkpoint.store != "file",
        "files": checkpoint.manifest,
    }


@node_endpoint("POST")
def started(attempt: Attempt, request: HttpRequest) -> dict[str, Any]:
    """The trainer process exists."""
    body = body_of(request)
    record_start(attempt=attempt, trainer_pid=payloads.whole(body, "trainer_pid", low=1, high=2**31))
    return {}


@node_endpoint("POST")
def heartbeat(attempt: Attempt, request: HttpRequest) -> dict[str, Any]:
    """A sign of life; the answer carries the order that waits."""
    order = record_heartbeat(attempt=attempt, heartbeat=payloads.read_heartbeat(body_of(request)))
    return {"order": order, "grace_seconds": attempt.run.grace_seconds}


@ingest_endpoint
def logs(sender: KnownSender, request: HttpRequest) -> dict[str, Any]:
    """Store a batch of log lines."""
    body = batch_of(request)
    lines = batches.read_lines(body)
    return {"sequence": append_lines(attempt=sender, sequence=batches.read_sequence(body), lines=lines)}


@ingest_endpoint
def metrics(sender: KnownSender, request: HttpRequest) -> dict[str, Any]:
    """Store a batch of metric points."""
    body = batch_of(request)
    columns = batches.read_metrics(body)
    return {"sequence": append_metrics(attempt=sender, sequence=batches.read_sequence(body), columns=columns)}


@node_endpoint("POST")
def exit_report(attempt: Attempt, request: HttpRequest) -> dict[str, Any]:
    """The attempt is over."""
    run = finish_attempt(attempt=attempt, report=payloads.read_exit(body_of(request)))
    return {"status": run.status}
