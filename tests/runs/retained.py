"""Runs that ended some days ago, with a log and a metric history."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from projects.models import Project
from runs.attempts import finish_attempt
from runs.models import LogChunk, MetricBatch, MetricChunk, Run
from runs.telemetry.append import append_metrics
from runs.telemetry.newest import refresh_newest
from tests.factories import exit_body, fresh, new_attempt, new_run
from tests.runs.telemetry.builders import append_lines


def keep_for(project: Project, *, log: int | None = None, metrics: int | None = None) -> Project:
    """Set how many days the project keeps logs and histories."""
    Project.objects.filter(pk=project.pk).update(log_retention_days=log, metric_retention_days=metrics)
    return fresh(project)


def live_run(project: Project, *, lines: int = 3, points: int = 4, **values: Any) -> Run:
    """A running run with lines of 6 bytes and points of one metric."""
    attempt = new_attempt(new_run(project, **values))
    append_lines(attempt=attempt, sequence=1, lines=[(n, 1, 0, f"line {n % 10}") for n in range(lines)])
    column = list(range(points))
    loss = {"step": column, "time": column, "value": [float(n) for n in column]}
    append_metrics(attempt=attempt, sequence=1, columns={"loss": loss} if points else {})
    refresh_newest(run_ids=[attempt.run_id])
    return fresh(attempt.run)


def ended_run(project: Project, *, days: float, **values: Any) -> Run:
    """A run as of `live_run` that was completed so many days ago."""
    run = live_run(project, **values)
    finish_attempt(attempt=run.attempts.get(), report=exit_body())
    Run.objects.filter(pk=run.pk).update(completed_at=timezone.now() - timedelta(days=days))
    return fresh(run)


def rows_of(run: Run) -> int:
    """Return how many packed rows of lines and points the run has."""
    return sum(model.objects.filter(run_id=run.pk).count() for model in (LogChunk, MetricBatch, MetricChunk))
