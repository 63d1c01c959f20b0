"""Every point of a metric, page by page, in order of time: what clients get that want more than a chart shows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db import transaction

from runs.telemetry.newest import lock_counter
from runs.telemetry.point_packing import unpack_points
from runs.telemetry.points import INT64_MAX, INT64_MIN, Points
from runs.telemetry.shelf import (
    ChunkRow,
    RunCounter,
    RunShelf,
    fill_shelves,
    open_shelves,
    read_chunks_of,
    read_counters,
    read_of_chunks,
)
from runs.telemetry.window import Window
from trainhub.errors import Removed

PAGE_POINTS = 25_000  # of some 450 bytes each while they are in memory
_TRIES = 3
_PAYLOADS_AT_ONCE = 16  # chunks, of about 1,000 points each


class HistoryPoint(NamedTuple):
    """A point, such that points are ordered by time, step and value, NaN before numbers.

    `time` is ms since 1970 UTC. `number` is 0 where `is_number` is false: then the value is NaN.
    """

    time: int
    step: int
    is_number: bool
    number: float

    @property
    def value(self) -> float:
        """The value, NaN and the infinities among them."""
        return self.number if self.is_number else math.nan


def read_history(
    *, run_id: int, key: str, after: HistoryPoint | None = None, limit: int = PAGE_POINTS
) -> tuple[list[HistoryPoint], bool]:
    """Return the points of a metric of one run, each once, in order; and whether more follow.

    Points of all its attempts, also of those that a restart undid; the same step, time and value is one point. None
    where the history was removed. Memory is bounded by `limit` and by how many chunks overlap in time.

    Args:
        run_id: key of the run.
        key: name of the metric.
        after: only points behind this one.
        limit: at most so many, 1 or more.
    """
    counters = read_counters([run_id])
    for _ in range(_TRIES):
        found, before = _read_once(run_id, key, after, limit, counters), counters
        counters = read_counters([run_id])
        if counters[run_id].removed_at:
            return [], False
        if counters[run_id].folds == before[run_id].folds:  # else points may have moved past the reader
            return found
    with transaction.atomic():
        lock_counter(run_id)
        return _read_once(run_id, key, after, limit, read_counters([run_id]))


def read_pages(*, run_id: int, key: str, after: HistoryPoint | None = None) -> Iterator[list[HistoryPoint]]:
    """Yield all points of a metric of one run, as `read_history` has them, at most PAGE_POINTS at a time.

    Raises: Removed when the history is removed meanwhile: what came of it is not all.
    """
    points, has_more = read_history(run_id=run_id, key=key, after=after, limit=PAGE_POINTS)
    if points:
        yield points
    while has_more:
        points, has_more = read_history(run_id=run_id, key=key, after=points[-1], limit=PAGE_POINTS)
        if not points:
            raise Removed("The history was removed while it was read; what came of it is not all.")
        yield points


def _read_once(
    run_id: int, key: str, after: HistoryPoint | None, limit: int, counters: Mapping[int, RunCounter]
) -> tuple[list[HistoryPoint], bool]:
    shelves = open_shelves(counters)
    if counters[run_id].removed_at or key not in shelves[run_id].keys:
        return [], False
    first_time = INT64_MIN if after is None else after.time
    fill_shelves(shelves, [key], Window(times=(first_time, INT64_MAX)))
    least = _Least(after, limit)
    for _, points in shelves[run_id].points.get(key, ()):
        least.add(points)
    chunks = _chunks(shelves[run_id], key, first_time)
    for start in range(0, len(chunks), _PAYLOADS_AT_ONCE):
        some = chunks[start : start + _PAYLOADS_AT_ONCE]
        if least.is_full_before(some[0].times[0]):
            break
        for payload in read_of_chunks("payload", [chunk.id for chunk in some]).values():
            least.add(unpack_points(payload))
    return least.page()


def _chunks(shelf: RunShelf, key: str, first_time: int) -> Sequence[ChunkRow]:
    """Return the chunks with points from a time on, in the order of their earliest ones."""
    inside = read_chunks_of(shelf.sections.get(key, []))
    rows = [*shelf.chunks.get(key, []), *(row for rows in inside.values() for row in rows)]
    # One that was joined into a section meanwhile is seen twice; the points of both are the same.
    return sorted((row for row in rows if row.times[1] >= first_time), key=lambda row: row.times[0])


@dataclass(slots=True)
class _Least:
    """Keeps the first `limit` + 1 of the points behind `after` that it is given, in any order."""

    after: HistoryPoint | None
    limit: int
    found: list[HistoryPoint] = field(default_factory=list)
    last_time: int | None = None

    def add(self, points: Points) -> None:
        """Take those that are wanted; points over twice as many as are kept are cut off now and then."""
        wanted: Iterable[HistoryPoint] = _ordered(points)
        if self.after is not None:
            wanted = (point for point in wanted if point > self.after)
        self.found.extend(wanted)
        if len(self.found) > 2 * (self.limit + 1):
            self._cut()

    def is_full_before(self, time: int) -> bool:
        """Tell whether points from a time on cannot be wanted any more."""
        if len(self.found) > self.limit:
            self._cut()
        return self.last_time is not None and self.last_time < time

    def page(self) -> tuple[list[HistoryPoint], bool]:
        """Return the first `limit` points, and whether there are more."""
        self._cut()
        return self.found[: self.limit], len(self.found) > self.limit

    def _cut(self) -> None:
        self.found = list(dict.fromkeys(sorted(self.found)))
        if len(self.found) > self.limit:
            del self.found[self.limit + 1 :]
            self.last_time = self.found[-1].time


def _ordered(points: Points) -> Iterator[HistoryPoint]:
    for step, time, value in zip(points.steps, points.times, points.values, strict=True):
        is_number = not math.isnan(value)
        yield HistoryPoint(time, step, is_number, value if is_number else 0.0)
