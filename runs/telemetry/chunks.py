"""Making chunks of points: the bytes, and the summary that charts are drawn from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from runs.models import MetricChunk
from runs.telemetry.point_packing import pack_points, pack_selection
from runs.telemetry.points import Points, newest_index
from runs.telemetry.thinning import SKETCH_PARTS, select

CHUNK_POINTS = 1000


def make_chunks(*, run_id: int, key: str, attempt_number: int, parts: Iterable[Points]) -> Iterator[MetricChunk]:
    """Yield unsaved chunks of the points of all parts, full but for the last one.

    Points of equal step and time keep the order that they came in.
    """
    for points in Points.joined(parts).sorted_parts(CHUNK_POINTS):
        yield _make_chunk(run_id, key, attempt_number, points)


def _make_chunk(run_id: int, key: str, attempt_number: int, points: Points) -> MetricChunk:
    outline, sketch = select(points, SKETCH_PARTS)
    telling = points.at(outline)  # has the extremes of all
    finite = points.values if math.isfinite(sum(points.values)) else list(filter(math.isfinite, points.values))
    extremes = list(filter(math.isfinite, telling.values))
    return MetricChunk(
        run_id=run_id,
        key=key,
        attempt_number=attempt_number,
        first_step=points.steps[0],
        last_step=points.steps[-1],
        first_time=min(telling.times),
        last_time=max(telling.times),
        points=len(points),
        finite=len(finite),
        minimum=min(extremes, default=None),
        maximum=max(extremes, default=None),
        total=_if_finite(sum(finite)) if finite else None,
        last=_if_finite(_newest_value(points)),
        is_open=len(points) < CHUNK_POINTS,
        outline=pack_selection(points, outline),
        sketch=pack_selection(points, sketch),
        payload=pack_points(points),
    )


def _newest_value(points: Points) -> float:
    if len(points) == 1 or points.steps[-2] < points.steps[-1]:
        return points.values[-1]
    return points.values[newest_index(points)]


def _if_finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
