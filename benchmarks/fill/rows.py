"""Projects, runs and attempts of the benchmark."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from benchmarks.bodies import key_name
from benchmarks.fill.database import hurry, insert_newest, settle
from projects.models import Project
from projects.services import create_project
from runs.attempts import attempt_token, token_digest
from runs.lifecycle import Reason, Status
from runs.models import Attempt, Run, TelemetryCounter
from runs.services import prepare_run
from trainhub.operators import first_operator

EXECUTOR = "benchmark"  # not configured: the scheduler goes by heartbeats alone
_RUNS_AT_ONCE = 500
_LAST_STEP = 100_000
_MAX_LOSS = 5.0  # losses are spread evenly below it, so that a condition keeps a known share


def project(name: str) -> Project:
    """Return the project of that name, made at its first use."""
    found = Project.objects.filter(name=name).first()
    return found or create_project(by=first_operator(), values={"name": name})


def new_run(owner: Project, name: str, **values: Any) -> Run:
    """Return a run that is not stored yet."""
    run = prepare_run(project=owner, values={"name": name})
    run.executor = EXECUTOR
    run.created_by = first_operator()
    for field, value in values.items():
        setattr(run, field, value)
    return run


def path_of(run: Run) -> str:
    """Return the run's place in the API."""
    return f"/projects/{run.project.uid}/runs/{run.uid}"


def live_attempt(run: Run) -> Attempt:
    """Return an attempt, not stored yet, that is claimed and has just been heard of."""
    now = timezone.now()
    moments = dict.fromkeys(["submitted_at", "claimed_at", "started_at", "heartbeat_at"], now)
    attempt = Attempt(run=run, number=1, executor=EXECUTOR, host="benchmark", phase="training", **moments)
    attempt.token_digest = token_digest(attempt_token(attempt.uid))
    return attempt


@transaction.atomic
def make_attempts(*, count: int) -> list[dict[str, str]]:
    """Make runs that are running; return the path of each and the token of its attempt."""
    owner, now = project("ingest"), timezone.now()
    made = []
    for _ in range(count):
        run = new_run(owner, "reporting", status=Status.RUNNING, started_at=now)
        run.save(force_insert=True)
        TelemetryCounter.objects.create(run=run)
        attempt = live_attempt(run)
        attempt.save(force_insert=True)
        made.append({"run": path_of(run), "token": attempt_token(attempt.uid)})
    return made


def make_runs(*, count: int, metrics: int) -> dict[str, Any]:
    """Make runs that have ended, a minute apart, with newest values; returns their project and the greatest loss."""
    hurry()
    owner, newest, rng = project("many runs"), timezone.now(), random.Random(11)
    pattern = new_run(owner, "a run")
    for start in range(0, count, _RUNS_AT_ONCE):
        moments = [
            newest - timedelta(minutes=count - index) for index in range(start, min(start + _RUNS_AT_ONCE, count))
        ]
        _store_runs([_ended_run(pattern, moment, rng) for moment in moments], metrics, rng)
    settle()
    return {"project": owner.uid, "count": count, "max_loss": _MAX_LOSS}


def _ended_run(pattern: Run, moment: datetime, rng: random.Random) -> Run:
    end = moment + timedelta(hours=2)
    fields = ("project", "recipe", "recipe_snapshot", "recipe_digest", "executor", "created_by", "is_simulated")
    return Run(
        **{field: getattr(pattern, field) for field in fields},
        name=f"sweep {rng.randrange(10**6):06d}",
        hyperparameters={"learning_rate": rng.choice([1e-4, 3e-4, 1e-3]), "batch_size": rng.choice([16, 32, 64])},
        status=Status.COMPLETED,
        reason=Reason.FINISHED,
        progress=1.0,
        created_at=moment,
        queued_at=moment,
        started_at=moment,
        updated_at=end,
        completed_at=end,
        status_changed_at=end,
    )


@transaction.atomic
def _store_runs(runs: list[Run], metrics: int, rng: random.Random) -> None:
    Run.objects.bulk_create(runs)
    counters = [TelemetryCounter(run=run, metric_points=metrics, newest_points=metrics) for run in runs]
    TelemetryCounter.objects.bulk_create(counters)
    attempts = [live_attempt(run) for run in runs]
    for attempt, run in zip(attempts, runs, strict=True):
        attempt.ended_at, attempt.exit_code, attempt.reason = run.completed_at, 0, Reason.FINISHED
    Attempt.objects.bulk_create(attempts)
    insert_newest(newest_value(run, key_name(key), rng) for run in runs for key in range(metrics))


def newest_value(run: Run, key: str, rng: random.Random) -> tuple[int, str, int, int, int, float, str, float, float]:
    """Return the row of the newest value of a metric; losses are spread evenly."""
    value = rng.random() * _MAX_LOSS
    time = int(run.created_at.timestamp() * 1000)
    return run.pk, key, 1, _LAST_STEP, time, value, "", value, value + 1


def end_run(run: Run) -> None:
    """Let a run and its attempts have ended."""
    now = timezone.now()
    Attempt.objects.filter(run=run).update(ended_at=now, exit_code=0, reason=Reason.FINISHED)
    Run.objects.filter(pk=run.pk).update(status=Status.COMPLETED, reason=Reason.FINISHED, completed_at=now)
