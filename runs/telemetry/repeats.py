"""Points that tracking clients send again: each is stored once.

Two points of one metric and attempt are the same when step, time and value are; NaN is the same as NaN. What a runner
sends is there once, as its batches are numbered, and may well say the same twice: it is left as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeAlias

from runs.models import MetricChunk, MetricSection
from runs.telemetry.newest import in_slices
from runs.telemetry.point_packing import unpack_heads, unpack_points
from runs.telemetry.points import Points, is_ascending
from runs.telemetry.window import Span, Window

Part: TypeAlias = tuple[Points, bool]  # and whether they may be there already
SeriesKey: TypeAlias = tuple[str, int]  # metric and number of the attempt
Identity: TypeAlias = tuple[int, int, float | None]

_PAYLOADS_AT_ONCE = 16  # chunks, of about 1,000 points each


def without_repeats(parts: Sequence[Part], stored: Iterable[Points] = ()) -> list[Points]:
    """Return the points of each part, without those that may be there already and are.

    They are when they are in `stored`, in an earlier part, or earlier in their own. Parts may become empty.
    """
    columns = [points for points, _ in parts]
    repeatable = [points for points, may_repeat in parts if may_repeat]
    if not repeatable:
        return columns
    wanted: set[Identity] = set()
    known: set[Identity] = set()
    for points in stored:
        wanted = wanted or set(chain.from_iterable(map(_identities, repeatable)))
        known.update(wanted.intersection(_identities(points)))
    if not known and is_ascending(list(chain.from_iterable(points.steps for points in columns))):
        return columns  # the usual case
    return [_fresh(points, known, may_repeat=may_repeat) for points, may_repeat in parts]


def _fresh(points: Points, known: set[Identity], *, may_repeat: bool) -> Points:
    """Return what is not known of points that may repeat, all of others; they are known from then on."""
    identities = list(_identities(points))
    if not may_repeat:
        known.update(identities)
        return points
    kept = []
    for index, identity in enumerate(identities):
        if identity not in known:
            known.add(identity)
            kept.append(index)
    return points if len(kept) == len(points) else points.at(kept)


def _identities(points: Points) -> Iterator[Identity]:
    """Return something for each point that is equal for the same ones."""
    values: Iterable[float | None] = points.values
    if not math.isfinite(sum(points.values)):
        values = [None if math.isnan(value) else value for value in points.values]
    return zip(points.steps, points.times, values, strict=True)


def find_overlapping(run_id: int, parts: Mapping[SeriesKey, Sequence[Part]]) -> dict[SeriesKey, list[int]]:
    """Return the ids of full chunks that may hold points of `parts` that may repeat, by series.

    Two queries for every 500 metrics: chunks that are loose, and sections; only heads are read. Late and repeated
    points alone lie where a full chunk does.
    """
    windows = {series: _window_of(some) for series, some in parts.items() if any(may_repeat for _, may_repeat in some)}
    found: dict[SeriesKey, list[int]] = {}
    for keys in in_slices(sorted({key for key, _ in windows})):
        # Loose ones first: one that is joined into a section meanwhile is seen twice, never missed.
        for row_id, key, attempt, steps, times in chain(
            _loose_chunks(run_id, keys), _chunks_of_sections(run_id, keys, windows)
        ):
            window = windows.get((key, attempt))
            if window is not None and not window.has_none(steps, times):
                found.setdefault((key, attempt), []).append(row_id)
    return found


_Head: TypeAlias = tuple[int, str, int, Span, Span]  # id of the chunk, metric, attempt, steps, times


def _loose_chunks(run_id: int, keys: Sequence[str]) -> Iterator[_Head]:
    rows = MetricChunk.objects.filter(run_id=run_id, key__in=keys, is_loose=True, is_open=False)
    columns = ("id", "key", "attempt_number", "first_step", "last_step", "first_time", "last_time")
    for row_id, key, attempt, first_step, last_step, first_time, last_time in rows.values_list(*columns):
        yield row_id, key, attempt, (first_step, last_step), (first_time, last_time)


def _chunks_of_sections(run_id: int, keys: Sequence[str], windows: Mapping[SeriesKey, Window]) -> Iterator[_Head]:
    around = Window.around(window for (key, _), window in windows.items() if key in set(keys))
    rows = around.rows(MetricSection.objects.filter(run_id=run_id, key__in=keys))
    for key, attempt, heads in rows.values_list("key", "attempt_number", "chunks"):
        for head in unpack_heads(heads):
            yield head.id, key, attempt, (head.first_step, head.last_step), (head.first_time, head.last_time)


def _window_of(parts: Sequence[Part]) -> Window:
    """Return the least window that holds all points that may repeat."""
    some = [points for points, may_repeat in parts if may_repeat]
    steps = min(min(points.steps) for points in some), max(max(points.steps) for points in some)
    return Window(steps, (min(min(points.times) for points in some), max(max(points.times) for points in some)))


def read_full_chunks(ids: Sequence[int]) -> Iterator[Points]:
    """Yield the points of some chunks, a few chunks in memory at a time; those that are gone are left out."""
    for start in range(0, len(ids), _PAYLOADS_AT_ONCE):
        some = ids[start : start + _PAYLOADS_AT_ONCE]
        for payload in MetricChunk.objects.filter(id__in=some).values_list("payload", flat=True):
            yield unpack_points(payload)
