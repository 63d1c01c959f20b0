"""The course of one metric of each of many runs, in two queries: for small drawings beside the runs.

What `series` reads is exact and keeps every extreme; this is the mean of what was drawn up beforehand, and a point that
is seen twice while a chunk is folded does no harm.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from itertools import pairwise

from runs.models import MetricBatch, MetricChunk, MetricSection
from runs.telemetry.packing import unpack_batch
from runs.telemetry.point_packing import Payload, unpack_selections
from runs.telemetry.points import INT64_MAX, Points

SKETCH_POINTS = 48  # as many as a drawing of some 100 pixels shows


def read_sketches(keys: Mapping[int, str]) -> dict[int, Points]:
    """Return at most SKETCH_POINTS + 1 points of each run's metric: means of equal stretches, then the last one.

    A stretch without a finite value is NaN. Steps that a later attempt did again are those of the later one. Two
    queries, none without runs.

    Args:
        keys: the name of the metric by the key of the run; runs without a point of it are left out.
    """
    if not keys:
        return {}
    by_attempt: dict[int, dict[int, list[Points]]] = {}
    # The inbox first: what is folded meanwhile is seen twice, never missed.
    for run_id, attempt, payload in _inbox(keys):
        for _, points in unpack_batch(payload, {keys[run_id]}):
            by_attempt.setdefault(run_id, {}).setdefault(attempt, []).append(points)
    for run_id, attempt, key, sketch in _stored(keys):
        if key == keys[run_id]:
            by_attempt.setdefault(run_id, {}).setdefault(attempt, []).append(unpack_selections([sketch]))
    return {run_id: _course(attempts) for run_id, attempts in by_attempt.items()}


def _inbox(keys: Mapping[int, str]) -> list[tuple[int, int, Payload]]:
    rows = MetricBatch.objects.filter(run_id__in=list(keys)).order_by("id")
    return list(rows.values_list("run_id", "attempt_number", "payload"))


def _stored(keys: Mapping[int, str]) -> list[tuple[int, int, str, Payload]]:
    """Return the sketches of loose chunks (up to 23 points) and sections (up to 103)."""
    wanted, columns = {"run_id__in": list(keys), "key__in": set(keys.values())}, ("run_id", "attempt_number", "key")
    loose = MetricChunk.objects.filter(**wanted, is_loose=True).values_list(*columns, "sketch")
    sections = MetricSection.objects.filter(**wanted).values_list(*columns, "sketch")
    return list(loose.union(sections, all=True))


def _course(attempts: dict[int, list[Points]]) -> Points:
    """Join the attempts in order, each up to where a later one began, and take means."""
    # Parts that follow each other are in order already; sorting their points would take ten times as long.
    ordered = [
        Points.joined(sorted(parts, key=lambda part: part.steps[0])).sorted() for _, parts in sorted(attempts.items())
    ]
    kept: list[Points] = []
    undone = INT64_MAX
    for points in reversed(ordered):
        kept.append(points.part(0, bisect_left(points.steps, undone)))
        undone = min(undone, points.steps[0])
    return _means(Points.joined(reversed(kept)))


def _means(points: Points) -> Points:
    if len(points) <= SKETCH_POINTS:
        return points
    first, length = points.steps[0], points.steps[-1] - points.steps[0] + 1
    # By step, not by count: what is stored is dense where it is new and thin where it is old.
    ends = [
        bisect_left(points.steps, first + length * stretch // SKETCH_POINTS) for stretch in range(SKETCH_POINTS + 1)
    ]
    means = [_mean(points.part(start, stop)) for start, stop in pairwise(ends) if start < stop]
    last = len(points) - 1
    return Points.joined([Points(*zip(*means, strict=True)), points.part(last, last + 1)])


def _mean(points: Points) -> tuple[int, int, float]:
    middle = len(points) // 2
    total, count = sum(points.values), len(points)
    if not math.isfinite(total):
        finite = [value for value in points.values if math.isfinite(value)]
        total, count = sum(finite), len(finite)
    return points.steps[middle], points.times[middle], total / count if count else math.nan
