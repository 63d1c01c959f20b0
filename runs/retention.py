"""Retention: taking away the logs and metric histories of runs that ended longer ago than their project keeps them.

What goes is marked first, one run at a time, and from then on nobody sees it; `runs.telemetry.removal` deletes the
rows afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Sum, Value, When
from django.utils import timezone

from projects.models import Project
from runs.models import Run
from runs.telemetry.fold import fold_run
from runs.telemetry.point_packing import POINT_BYTES
from runs.telemetry.removal import mark_removed

logger = logging.getLogger(__name__)
ACTOR = "retention"


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How many days after its end a run keeps its log and its metric history; None is for ever."""

    log_days: int | None
    metric_days: int | None

    @classmethod
    def of(cls, project: Project) -> Self:
        """Return the rule of a project."""
        return cls(project.log_retention_days, project.metric_retention_days)


# --- Carrying it out ------------------------------------------------------------------------------
def carry_out(*, limit: int, now: datetime | None = None, project: Project | None = None) -> int:
    """Remove at most `limit` logs and histories that are overdue, of one project or of all; return how many.

    Each is a transaction of its own, safe to repeat and to do in two schedulers at once. One that cannot be removed is
    logged and left for the next time.
    """
    now = now or timezone.now()
    overdue = list(_overdue(now, project, limit))
    return sum(_try(remove, run, now) for remove, run in overdue)


_Removal = Callable[[Run, datetime], bool]


def _overdue(now: datetime, project: Project | None, limit: int) -> Iterator[tuple[_Removal, Run]]:
    """Yield what to remove, oldest end first for each number of days; a query for each number that occurs."""
    left = limit
    projects = (Project.objects.all() if project is None else Project.objects.filter(pk=project.pk)).order_by()
    for days in _in_use(projects.values_list("log_retention_days", flat=True)):
        runs = Run.objects.filter(project__in=projects.filter(log_retention_days=days))
        found = list(runs.with_log().ended_before(now - timedelta(days=days))[:left])
        left -= len(found)
        yield from ((_remove_log, run) for run in found)
    for days in _in_use(projects.values_list("metric_retention_days", flat=True)):
        runs = Run.objects.filter(project__in=projects.filter(metric_retention_days=days))
        found = list(runs.with_metrics().ended_before(now - timedelta(days=days))[:left])
        left -= len(found)
        yield from ((_remove_metrics, run) for run in found)


def _in_use(column: QuerySet[Any, int | None]) -> list[int]:
    return sorted(days for days in column.distinct() if days is not None)


def _try(remove: _Removal, run: Run, now: datetime) -> bool:
    try:
        return remove(run, now)
    except DatabaseError:
        raise
    except Exception:
        logger.exception("what run %s has kept for too long cannot be removed", run.uid)
        return False


def _remove_log(run: Run, now: datetime) -> bool:
    """Mark the log as removed, with an event; False when it is not overdue any more."""
    with transaction.atomic():
        days = _lock_project(run).log_retention_days
        if days is None or not _lock_run(run, Run.objects.with_log().ended_before(now - timedelta(days=days))):
            return False
        amount = mark_removed(run_id=run.pk, at=now, log=True)
        run.events.create(
            at=now,
            kind="logs_removed",
            actor=ACTOR,
            message=f"The log, {amount.log_lines} lines, was removed {days} days after the end of the run.",
            evidence={"lines": amount.log_lines, "text_bytes": amount.log_bytes, "days": days},
        )
    return True


def _remove_metrics(run: Run, now: datetime) -> bool:
    """Mark the metric history as removed, with an event; False when it is not overdue any more."""
    fold_run(run_id=run.pk, everything=True)  # so that the newest values, which stay, are complete
    with transaction.atomic():
        days = _lock_project(run).metric_retention_days
        if days is None or not _lock_run(run, Run.objects.with_metrics().ended_before(now - timedelta(days=days))):
            return False
        amount = mark_removed(run_id=run.pk, at=now, metrics=True)
        run.events.create(
            at=now,
            kind="metrics_removed",
            actor=ACTOR,
            message=f"The metric history, {amount.metric_points} points, was removed {days} days after the end of the "
            "run. The newest values stay.",
            evidence={"points": amount.metric_points, "point_bytes": amount.metric_bytes, "days": days},
        )
    return True


def _lock_project(run: Run) -> Project:
    """Lock and return the project as it is now: a change of its days comes before this or after it."""
    return Project.objects.select_for_update(no_key=True).get(pk=run.project_id)


def _lock_run(run: Run, overdue: QuerySet[Run]) -> bool:
    """Lock the run; tell whether it is still among the overdue ones."""
    Run.objects.select_for_update(no_key=True).filter(pk=run.pk).first()
    return overdue.filter(pk=run.pk).exists()


# --- Looking ahead --------------------------------------------------------------------------------
def would_go(*, project: Project, rule: RetentionRule, now: datetime) -> QuerySet[Run]:
    """Return the runs that would lose something by `rule` now, oldest end first.

    Each has `lost_lines`, `lost_text_bytes` and `lost_points`: what goes, 0 where that stays.
    """
    log = _overdue_if(rule.log_days, now, log_removed_at=None, telemetry__log_lines__gt=0)
    metrics = _overdue_if(rule.metric_days, now, metrics_removed_at=None, telemetry__metric_points__gt=0)
    runs: QuerySet[Run] = project.runs.not_deleted()
    return (
        runs.filter(log | metrics)
        .annotate(
            lost_lines=_where(log, "telemetry__log_lines"),
            lost_text_bytes=_where(log, "telemetry__log_bytes"),
            lost_points=_where(metrics, "telemetry__metric_points"),
        )
        .order_by("completed_at", "id")
    )


def _overdue_if(days: int | None, now: datetime, **still_there: Any) -> Q:
    return Q(pk__in=[]) if days is None else Q(completed_at__lt=now - timedelta(days=days), **still_there)


def _where(condition: Q, column: str) -> Case:
    return Case(When(condition, then=F(column)), default=Value(0), output_field=IntegerField())


def add_up(rows: QuerySet[Run]) -> dict[str, int]:
    """Return the totals of `would_go`: runs, log_lines, log_bytes, metric_points, metric_bytes."""
    sums = rows.order_by().aggregate(
        runs=Count("pk"),
        log_lines=Sum("lost_lines", default=0),
        log_bytes=Sum("lost_text_bytes", default=0),
        metric_points=Sum("lost_points", default=0),
    )
    return {**sums, "metric_bytes": sums["metric_points"] * POINT_BYTES}


def next_removal(*, project: Project, rule: RetentionRule, now: datetime) -> datetime | None:
    """Return when the next log or history of a run that has ended would go by `rule`; None when none would."""
    runs = project.runs.not_deleted().order_by("completed_at")
    moments = []
    for days, kept in ((rule.log_days, runs.with_log()), (rule.metric_days, runs.with_metrics())):
        if days is not None:
            younger = kept.filter(completed_at__gte=now - timedelta(days=days))
            moments += [end + timedelta(days=days) for end in younger.values_list("completed_at", flat=True)[:1] if end]
    return min(moments, default=None)
