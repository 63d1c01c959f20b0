"""When an external run was last heard of: its client reports when it has something to say, and has no heartbeat."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from runs.lifecycle import Status
from runs.models import Run

SILENT_AFTER = timedelta(days=2)  # an evaluation or a slow queue may take a day; a training that goes on logs in two


def last_heard(run: Run, newest_at: datetime | None) -> datetime:
    """Return when a client last began, ended or continued `run`, or sent metrics, by the hub's clock.

    `newest_at` is that of the run's TelemetryCounter. Tags, parameters and files leave no time.
    """
    return max(filter(None, [run.created_at, run.status_changed_at, newest_at]))


def is_long_silent(run: Run, newest_at: datetime | None, now: datetime | None = None) -> bool:
    """Tell whether an external run that goes on has not been heard of for SILENT_AFTER. Its status stays."""
    is_going_on = not run.is_managed and run.status == Status.RUNNING
    return is_going_on and (now or timezone.now()) - last_heard(run, newest_at) > SILENT_AFTER
