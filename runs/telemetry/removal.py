"""Removing telemetry: first a mark, by which readers see nothing any more, then the rows, in bounded steps.

The only code that deletes lines and points for good. Every step is one transaction that holds the run's counter, so
that two who remove, and one who folds, come one after the other. A crash leaves the mark, and the next step goes on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce

from runs.models import LogChunk, MetricBatch, MetricChunk, MetricSection, Run, RunMetric, TelemetryCounter
from runs.telemetry.newest import lock_counter
from runs.telemetry.point_packing import POINT_BYTES

# Rows of one step: at most about 6 MB packed, whatever they hold.
STEP_LOG_CHUNKS = 100  # of at most 128 kB of text; 10 ms on SQLite and 6 ms on PostgreSQL, measured
STEP_METRIC_CHUNKS = 200  # of about 1,000 points
STEP_METRIC_SECTIONS = 50  # of 64 chunks each, some 40 kB
STEP_METRIC_BATCHES = 20  # of at most 10,000 points
STEP_NEWEST = 500  # small rows


@dataclass(frozen=True, slots=True)
class Amount:
    """How much a run holds: lines, their UTF-8 bytes, points. Bytes are those before packing."""

    log_lines: int = 0
    log_bytes: int = 0
    metric_points: int = 0

    @property
    def metric_bytes(self) -> int:
        """The points' bytes: step, time and value of 8 bytes each."""
        return self.metric_points * POINT_BYTES


def amount_of(run_id: int) -> Amount:
    """Return how much telemetry a run holds, from its counter. One query."""
    counter = TelemetryCounter.objects.filter(run_id=run_id).first()
    return _amount(counter) if counter else Amount()


def _amount(counter: TelemetryCounter) -> Amount:
    return Amount(counter.log_lines, counter.log_bytes, counter.metric_points)


def mark_removed(*, run_id: int, at: datetime, log: bool = False, metrics: bool = False) -> Amount:
    """Take a run's log, its metric history or both out of sight; return how much it held until now.

    Call it in a transaction that has locked the run. Rows: the run's marks, where there are none yet, and the counter.
    The newest values stay.
    """
    counter = lock_counter(run_id)
    changes: dict[str, Any] = {"leftovers_since": counter.leftovers_since or at}
    if log:
        Run.objects.filter(pk=run_id).update(log_removed_at=Coalesce("log_removed_at", at))
        changes |= {"log_lines": 0, "log_bytes": 0, "log_tally": [], "log_open_lines": 0, "log_open_bytes": 0}
    if metrics:
        Run.objects.filter(pk=run_id).update(metrics_removed_at=Coalesce("metrics_removed_at", at))
        changes |= {"metric_points": 0, "folds": F("folds") + 1}  # readers under way look again
    TelemetryCounter.objects.filter(run_id=run_id).update(**changes)
    return _amount(counter)


def remove_leftovers(*, seconds: float) -> bool:
    """Delete rows of what was marked, step by step, for about so long; tell whether some are left."""
    deadline = time.monotonic() + seconds
    while (run_id := _oldest_leftovers()) is not None:
        remove_step(run_id)
        if time.monotonic() >= deadline:
            return True
    return False


def _oldest_leftovers() -> int | None:
    waiting = TelemetryCounter.objects.filter(leftovers_since__isnull=False)
    return waiting.order_by("leftovers_since").values_list("run_id", flat=True).first()


def remove_step(run_id: int) -> int:
    """Delete some rows of what was marked of a run; return how many, 0 when none was left.

    One transaction. Safe to repeat, and to do in two schedulers at once.
    """
    with transaction.atomic():
        # Folding and readers that cannot wait for quiet hold the counter as well.
        counter = TelemetryCounter.objects.select_for_update().filter(run_id=run_id).first()
        run = Run.objects.filter(pk=run_id).first()
        if counter is None or run is None:
            return 0
        for rows, limit in _marked(run):
            if deleted := _delete_some(rows, limit):
                return deleted
        TelemetryCounter.objects.filter(run_id=run_id).update(leftovers_since=None)
    return 0


def _marked(run: Run) -> list[tuple[QuerySet[Any], int]]:
    """Return the rows to delete; the inbox before the chunks, as folding makes chunks of it."""
    log = [(LogChunk.objects.filter(run=run).order_by("first_line"), STEP_LOG_CHUNKS)]
    metrics = [
        (MetricBatch.objects.filter(run=run).order_by("id"), STEP_METRIC_BATCHES),
        (MetricSection.objects.filter(run=run).order_by("id"), STEP_METRIC_SECTIONS),
        (MetricChunk.objects.filter(run=run).order_by("last_time"), STEP_METRIC_CHUNKS),
    ]
    return [*(log if run.log_removed_at else []), *(metrics if run.metrics_removed_at else [])]


def _delete_some(rows: QuerySet[Any], limit: int) -> int:
    ids = list(rows.values_list("pk", flat=True)[:limit])
    return rows.filter(pk__in=ids).delete()[0] if ids else 0


def remove_newest_step(run_id: int) -> int:
    """Delete some of the newest values of a run that was deleted; return how many, 0 when none was left."""
    return _delete_some(RunMetric.objects.filter(run_id=run_id).order_by("key"), STEP_NEWEST)
