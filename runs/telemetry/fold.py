"""Moving the inbox of a run into chunks: bounded steps, each of them one transaction.

What a step needs is read and packed before its transaction, so that ingest waits for the writing alone. In the
transaction the batches are deleted first: when one of them is gone, somebody else has folded it and nothing is done.
Steps take the oldest batches, hence that also tells that the chunks are still those that were read.

Points that tracking clients sent again are dropped here, and count no more (`repeats`).

Where a step has filled enough chunks of a metric, they are joined into a section afterwards (`sections`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone

from runs.lifecycle import TERMINAL
from runs.models import MetricBatch, MetricChunk, TelemetryCounter
from runs.telemetry.chunks import make_chunks
from runs.telemetry.newest import in_slices, lock_counter, merge_batches
from runs.telemetry.packing import unpack_batch
from runs.telemetry.point_packing import unpack_points
from runs.telemetry.repeats import Part, SeriesKey, find_overlapping, read_full_chunks, without_repeats
from runs.telemetry.sections import make_sections

FOLD_BATCHES = 64  # an inbox with so many batches or points is worth folding
FOLD_POINTS = 20_000
_STEP_BATCHES = 256  # read in one step at most, so that a step stays well under a second
_STEP_POINTS = 100_000
_RUNS_AT_ONCE = 20  # folded a step each before the fullest are looked up again


def runs_to_fold(limit: int) -> list[int]:
    """Return ids of at most `limit` runs with a large inbox, or with any once they have ended; largest first."""
    is_large = Q(inbox_batches__gte=FOLD_BATCHES) | Q(inbox_points__gte=FOLD_POINTS)
    counters = TelemetryCounter.objects.filter(inbox_batches__gt=0, run__metrics_removed_at=None)
    wanted = counters.filter(is_large | Q(run__status__in=TERMINAL))
    return list(wanted.order_by("-inbox_batches", "run_id").values_list("run_id", flat=True)[:limit])


def fold_fullest(seconds: float) -> int:
    """Fold the runs that need it most, a step each by turns, for about `seconds`; return how many points were moved.

    At least one step is made where there is work, so that a slow machine gets on as well.
    """
    until = time.monotonic() + seconds
    total = 0
    while run_ids := runs_to_fold(_RUNS_AT_ONCE):
        for run_id in run_ids:
            total += fold_run(run_id=run_id)
            if time.monotonic() >= until:
                return total
    return total


def fold_run(*, run_id: int, everything: bool = False, now: datetime | None = None) -> int:
    """Move points of the inbox into chunks and bring the newest values up to date; return how many were moved.

    One step of at most 256 batches, or with `everything` steps until the inbox is empty. Safe to call at any time,
    by several callers at once, and after a crash: points move in the transaction that deletes their batches.
    """
    moved = _fold_step(run_id, now or timezone.now())
    total = moved or 0
    while everything and moved != 0:
        moved = _fold_step(run_id, now or timezone.now())
        total += moved or 0
    if everything:
        make_sections(run_id=run_id)
    return total


class _OvertakenError(Exception):
    """Another caller folded the same batches."""


@dataclass(frozen=True, slots=True)
class _Step:
    """What one transaction does; `points` of the batches are taken, `repeats` of them dropped."""

    batch_ids: list[int]
    points: int
    repeats: int
    replaced_ids: list[int]
    chunks: list[MetricChunk]

    @property
    def times(self) -> list[int]:
        """Least times of the chunks, ms since 1970 UTC."""
        return [chunk.first_time for chunk in self.chunks]

    @property
    def full_keys(self) -> list[str]:
        """Metrics of which a chunk was filled."""
        return list({chunk.key for chunk in self.chunks if not chunk.is_open})


def _fold_step(run_id: int, now: datetime) -> int | None:
    """Return the number of points moved: 0 when the inbox is empty, None when another caller was faster."""
    step = _prepare(run_id)
    if step is None:
        return 0
    try:
        _apply(run_id, step, now)
    except _OvertakenError:
        return None
    if keys := step.full_keys:
        make_sections(run_id=run_id, keys=keys)
    return step.points


def _prepare(run_id: int) -> _Step | None:
    ids: list[int] = []
    total = 0
    groups: dict[SeriesKey, list[Part]] = {}
    batches = MetricBatch.objects.filter(run_id=run_id).order_by("id")[:_STEP_BATCHES]
    columns = ("id", "attempt_number", "points", "may_repeat", "payload")
    for batch, attempt_number, count, may_repeat, payload in batches.values_list(*columns):
        if ids and total + count > _STEP_POINTS:
            break
        ids.append(batch)
        total += count
        for key, points in unpack_batch(payload):
            groups.setdefault((key, attempt_number), []).append((points, may_repeat))
    if not ids:
        return None
    overlapping = find_overlapping(run_id, groups)
    opened = {(chunk.key, chunk.attempt_number): chunk for chunk in _open_chunks(run_id, groups)}
    replaced: list[int] = []
    chunks: list[MetricChunk] = []
    kept = 0
    for series, incoming in groups.items():
        opening = opened.get(series)
        before = [] if opening is None else [(unpack_points(opening.payload), False)]
        parts = without_repeats([*before, *incoming], read_full_chunks(overlapping.get(series, [])))
        fresh = sum(map(len, parts[len(before) :]))
        if not fresh:
            continue
        kept += fresh
        replaced += [] if opening is None else [opening.id]
        chunks += make_chunks(run_id=run_id, key=series[0], attempt_number=series[1], parts=parts)
    return _Step(ids, total, total - kept, replaced, chunks)


def _open_chunks(run_id: int, groups: Collection[SeriesKey]) -> Iterator[MetricChunk]:
    for keys in in_slices(list({key for key, _ in groups})):
        for chunk in MetricChunk.objects.filter(run_id=run_id, key__in=keys, is_open=True).defer("outline", "sketch"):
            if (chunk.key, chunk.attempt_number) in groups:
                yield chunk


def _apply(run_id: int, step: _Step, now: datetime) -> None:
    with transaction.atomic():
        counter = lock_counter(run_id)
        merge_batches([counter], now=now, upto=step.batch_ids[-1])
        if _delete(MetricBatch.objects.all(), step.batch_ids) != len(step.batch_ids):
            raise _OvertakenError
        if _delete(MetricChunk.objects.all(), step.replaced_ids) != len(step.replaced_ids):
            raise _OvertakenError
        MetricChunk.objects.bulk_create(step.chunks)
        known = [] if counter.metric_first_time is None else [counter.metric_first_time]
        TelemetryCounter.objects.filter(run_id=run_id).update(
            inbox_points=F("inbox_points") - step.points,
            inbox_batches=F("inbox_batches") - len(step.batch_ids),
            folds=F("folds") + 1,
            metric_points=_less(step.repeats, "metric_points"),
            newest_points=_less(step.repeats, "newest_points"),
            metric_first_time=min([*known, *step.times], default=None),
        )


def _less(count: int, column: str) -> Greatest:
    """Return a column less `count`; not below 0, to which removal may have set it meanwhile."""
    return Greatest(F(column) - count, 0)


def _delete(rows: QuerySet[Any], ids: list[int]) -> int:
    return sum(rows.filter(id__in=some).delete()[0] for some in in_slices(ids))
