"""Moving the inbox of a run into chunks: bounded steps, each of them one transaction.

What a step needs is read and packed before its transaction, so that ingest waits for the writing alone. In the
transaction the batches are deleted first: when one of them is gone, somebody else has folded it and nothing is done.
Steps take the oldest batches, hence that also tells that the open chunks are still those that were read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from runs.lifecycle import TERMINAL
from runs.models import MetricBatch, MetricChunk, TelemetryCounter
from runs.telemetry.newest import in_slices, lock_counter, merge_batches
from runs.telemetry.packing import pack_points, pack_selection, unpack_batch, unpack_points
from runs.telemetry.points import Points, extreme_indexes, newest_index
from runs.telemetry.thinning import outline_indexes, sketch_indexes

FOLD_BATCHES = 64  # an inbox with so many batches or points is worth folding
FOLD_POINTS = 20_000
CHUNK_POINTS = 1000
_STEP_BATCHES = 256  # read in one step at most, so that a step stays well under a second
_STEP_POINTS = 100_000


def runs_to_fold(limit: int) -> list[int]:
    """Return ids of at most `limit` runs with a large inbox, or with any once they have ended; largest first."""
    is_large = Q(inbox_batches__gte=FOLD_BATCHES) | Q(inbox_points__gte=FOLD_POINTS)
    counters = TelemetryCounter.objects.filter(
        run_id__in=MetricBatch.objects.values("run_id"), run__metrics_removed_at=None
    )
    wanted = counters.filter(is_large | Q(run__status__in=TERMINAL))
    return list(wanted.order_by("-inbox_batches", "run_id").values_list("run_id", flat=True)[:limit])


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
    return total


class _OvertakenError(Exception):
    """Another caller folded the same batches."""


@dataclass(frozen=True, slots=True)
class _Step:
    """What one transaction does."""

    batch_ids: list[int]
    points: int
    replaced_ids: list[int]
    chunks: list[MetricChunk]


def _fold_step(run_id: int, now: datetime) -> int | None:
    """Return the number of points moved: 0 when the inbox is empty, None when another caller was faster."""
    step = _prepare(run_id)
    if step is None:
        return 0
    try:
        _apply(run_id, step, now)
    except _OvertakenError:
        return None
    return step.points


def _prepare(run_id: int) -> _Step | None:
    ids: list[int] = []
    total = 0
    groups: dict[tuple[int, str], list[Points]] = {}
    batches = MetricBatch.objects.filter(run_id=run_id).order_by("id")[:_STEP_BATCHES]
    for batch in batches:
        if ids and total + batch.points > _STEP_POINTS:
            break
        ids.append(batch.id)
        total += batch.points
        for key, points in unpack_batch(batch.payload):
            groups.setdefault((batch.attempt_number, key), []).append(points)
    if not ids:
        return None
    replaced = []
    for chunk in _open_chunks(run_id, groups):
        groups[chunk.attempt_number, chunk.key].insert(0, unpack_points(chunk.payload))
        replaced.append(chunk.id)
    chunks = [
        chunk
        for (attempt_number, key), parts in groups.items()
        for chunk in _make_chunks(run_id, key, attempt_number, parts)
    ]
    return _Step(ids, total, replaced, chunks)


def _open_chunks(run_id: int, groups: dict[tuple[int, str], list[Points]]) -> Iterator[MetricChunk]:
    for keys in in_slices(list({key for _, key in groups})):
        for chunk in MetricChunk.objects.filter(run_id=run_id, key__in=keys, is_open=True):
            if (chunk.attempt_number, chunk.key) in groups:
                yield chunk


def _make_chunks(run_id: int, key: str, attempt_number: int, parts: list[Points]) -> Iterator[MetricChunk]:
    joined = Points(
        [step for part in parts for step in part.steps],
        [time for part in parts for time in part.times],
        [value for part in parts for value in part.values],
    )
    for points in joined.sorted_parts(CHUNK_POINTS):
        yield MetricChunk(run_id=run_id, key=key, attempt_number=attempt_number, **_summary(points))


def _summary(points: Points) -> dict[str, int | float | bool | bytes | None]:
    """Return the columns of a chunk that follow from its points."""
    finite = [value for value in points.values if math.isfinite(value)]
    extremes = extreme_indexes(points.values)
    newest = points.values[newest_index(points)]
    total = sum(finite) if finite else None
    return {
        "first_step": points.steps[0],
        "last_step": points.steps[-1],
        "first_time": min(points.times),
        "last_time": max(points.times),
        "points": len(points),
        "finite": len(finite),
        "minimum": None if extremes is None else points.values[extremes[0]],
        "maximum": None if extremes is None else points.values[extremes[1]],
        "total": total if total is not None and math.isfinite(total) else None,
        "last": newest if math.isfinite(newest) else None,
        "is_open": len(points) < CHUNK_POINTS,
        "outline": pack_selection(points, outline_indexes(points.values)),
        "sketch": pack_selection(points, sketch_indexes(points.values)),
        "payload": pack_points(points),
    }


def _apply(run_id: int, step: _Step, now: datetime) -> None:
    with transaction.atomic():
        counter = lock_counter(run_id)
        merge_batches(counter, now=now, upto=step.batch_ids[-1])
        if _delete(MetricBatch.objects.all(), step.batch_ids) != len(step.batch_ids):
            raise _OvertakenError
        if _delete(MetricChunk.objects.all(), step.replaced_ids) != len(step.replaced_ids):
            raise _OvertakenError
        MetricChunk.objects.bulk_create(step.chunks)
        TelemetryCounter.objects.filter(run_id=run_id).update(
            inbox_points=F("inbox_points") - step.points, inbox_batches=F("inbox_batches") - len(step.batch_ids)
        )


def _delete(rows: QuerySet[Any], ids: list[int]) -> int:
    return sum(rows.filter(id__in=some).delete()[0] for some in in_slices(ids))
