"""Many runs as a tracking client makes them, straight into the tables; through the protocol it would take an hour."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from benchmarks.bodies import key_name
from benchmarks.fill.database import hurry, insert_newest, settle
from benchmarks.fill.rows import newest_value, project
from runs.lifecycle import Reason, Status
from runs.models import ClientStatus, Run, RunParameter, RunTag, RunTracking, TelemetryCounter
from runs.parameters import LOGGED
from runs.tracking.writing import NAME_TAG
from trainhub.operators import first_operator

_RUNS_AT_ONCE = 500
_PARAMETERS = ("lr", "batch", "seed")  # as MLflow's tables are filled
_TAGS = 3


def make_tracked(*, count: int, metrics: int) -> dict[str, Any]:
    """Make external runs that have ended, a minute apart, with newest values, 3 parameters and 3 tags each."""
    hurry()
    owner, newest, rng = project("many tracked runs"), timezone.now(), random.Random(11)
    pattern = Run(project=owner, created_by=first_operator(), recipe="", executor="", is_managed=False)
    for start in range(0, count, _RUNS_AT_ONCE):
        moments = [
            newest - timedelta(minutes=count - index) for index in range(start, min(start + _RUNS_AT_ONCE, count))
        ]
        _store([_ended_run(pattern, moment, rng) for moment in moments], metrics, rng)
    settle()
    return {"experiment": owner.uid, "count": count}


def _ended_run(pattern: Run, moment: datetime, rng: random.Random) -> Run:
    end = moment + timedelta(hours=2)
    fields = ("project", "created_by", "recipe", "executor", "is_managed")
    return Run(
        **{field: getattr(pattern, field) for field in fields},
        name=f"sweep {rng.randrange(10**6):06d}",
        status=Status.COMPLETED,
        reason=Reason.FINISHED,
        created_at=moment,
        started_at=moment,
        updated_at=end,
        completed_at=end,
        status_changed_at=end,
    )


@transaction.atomic
def _store(runs: list[Run], metrics: int, rng: random.Random) -> None:
    Run.objects.bulk_create(runs)
    TelemetryCounter.objects.bulk_create(
        [TelemetryCounter(run=run, metric_points=metrics, newest_points=metrics) for run in runs]
    )
    RunTracking.objects.bulk_create([_tracking(run) for run in runs])
    values = [(run, name, rng.choice([16, 32, 64])) for run in runs for name in _PARAMETERS]
    RunParameter.objects.bulk_create(
        RunParameter(run=run, group=LOGGED, name=name, number=value, value=str(value)) for run, name, value in values
    )
    tags = [(run, f"tag_{index}", "value") for run in runs for index in range(_TAGS)]
    tags += [(run, NAME_TAG, run.name) for run in runs]
    RunTag.objects.bulk_create(RunTag(run=run, key=key, value=value) for run, key, value in tags)
    insert_newest(newest_value(run, key_name(key), rng) for run in runs for key in range(metrics))


def _tracking(run: Run) -> RunTracking:
    start = int(run.created_at.timestamp() * 1000)
    return RunTracking(
        run=run, client_status=ClientStatus.FINISHED, start_time=start, end_time=start + 7_200_000, user_id="bench"
    )
