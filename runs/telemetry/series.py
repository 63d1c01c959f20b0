"""Reading metrics: series thinned to what a chart can show, from chunks and inbox together.

Every chunk carries two selections of its points (`runs.models.MetricChunk`). A window with few points is read from
the payloads; a wide one from the selections, and then only chunks across its ends are unpacked. Either way all points
shown are real ones.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Literal

from django.db import transaction

from runs.models import MetricBatch, MetricChunk, RunMetric, TelemetryCounter
from runs.telemetry.fold import CHUNK_POINTS
from runs.telemetry.newest import in_slices, lock_counter
from runs.telemetry.packing import (
    POINT_BYTES,
    Payload,
    summarize_batch,
    unpack_batch,
    unpack_points,
    unpack_selections,
)
from runs.telemetry.points import Points
from runs.telemetry.removed import all_or_nothing, has_metrics
from runs.telemetry.thinning import MIN_LIMIT, outline_indexes, sketch_indexes, thin
from runs.telemetry.timeline import SYSTEM_PREFIX, Timeline, read_timeline
from runs.telemetry.window import Window

# Unpacked are at most so many points for one shown: 20,000 take about 8 ms.
_UNPACKED_PER_POINT = 20
_TRIES = 3

Detail = Literal["payload", "sketch", "outline"]


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one metric as columns: step, time (ms since 1970 UTC), value (NaN and ±inf are gaps), attempt.

    Order is by step, then attempt, then time; for `system/…`, whose steps start anew in every attempt, by attempt
    first. `total` is the number of points in the window, `thinned` whether some of them were left out.
    """

    step: list[int]
    time: list[int]
    value: list[float]
    attempt: list[int]
    total: int
    thinned: bool


def list_keys(run_id: int) -> list[str]:
    """Return the names of all metrics of a run, sorted. Three queries."""
    # In this order a batch that is folded meanwhile is seen at least once.
    merged = TelemetryCounter.objects.filter(run_id=run_id).values_list("newest_batch", flat=True).first() or 0
    pending = MetricBatch.objects.filter(run_id=run_id, id__gt=merged).values_list("payload", flat=True)
    keys = {summary.key for payload in pending for summary in summarize_batch(payload, 1)}
    keys.update(RunMetric.objects.filter(run_id=run_id).values_list("key", flat=True))
    return sorted(keys)


def _no_points(*, keys: Sequence[str] | None, **_: object) -> dict[str, Series]:
    return {key: Series([], [], [], [], total=0, thinned=False) for key in keys or ()}


@all_or_nothing(has_metrics, _no_points)
def read_series(
    *,
    run_id: int,
    keys: Sequence[str] | None,
    limit: int = 1000,
    first_step: int | None = None,
    last_step: int | None = None,
    first_time: int | None = None,
    last_time: int | None = None,
    hidden: bool = False,
) -> dict[str, Series]:
    """Return the points of some metrics in a window, at most `limit` of each.

    Args:
        run_id: the run; one that does not exist has no points.
        keys: names of metrics; None means all that have points in the window.
        limit: at least 5; the first, last, least and greatest point are always kept, gaps as far as they fit.
        first_step: first step of the window.
        last_step: last step of the window, included.
        first_time: first time of the window, ms since 1970 UTC.
        last_time: last time of the window, included.
        hidden: also give steps that a restart from an earlier checkpoint undid.

    Returns:
        A series for each of `keys` (empty where there is nothing), or sorted by name.

    Raises:
        ValueError: limit below 5.
    """
    if limit < MIN_LIMIT:
        raise ValueError(f"limit is at least {MIN_LIMIT}")
    window = Window.between(first_step, last_step, first_time, last_time)
    reading = _Reading(run_id, keys, limit, window, hidden=hidden)
    for _ in range(_TRIES):
        folded = _folded_points(run_id)
        series = reading.read()
        if _folded_points(run_id) == folded:  # else points may have moved past the reader
            return series
    with transaction.atomic():
        lock_counter(run_id)  # folding waits
        return reading.read()


def _folded_points(run_id: int) -> int:
    """Return how many points were ever folded; it grows with every fold."""
    counts = TelemetryCounter.objects.filter(run_id=run_id).values_list("metric_points", "inbox_points").first()
    return counts[0] - counts[1] if counts else 0


@dataclass(slots=True)
class _Chunk:
    """A chunk in the window; `is_whole`: all of its points are."""

    id: int
    attempt: int
    count: int
    outline: Payload
    is_whole: bool


@dataclass(slots=True)
class _Key:
    """What is known of one metric: its chunks by id, and the points of its inbox inside the window."""

    chunks: list[_Chunk] = field(default_factory=list)
    inbox: list[tuple[int, Points]] = field(default_factory=list)

    def detail(self, limit: int) -> Detail:
        """Tell what to read of whole chunks."""
        points = sum(chunk.count for chunk in self.chunks) + sum(len(points) for _, points in self.inbox)
        if points <= limit * _UNPACKED_PER_POINT:
            return "payload"
        outlined = sum(len(chunk.outline) for chunk in self.chunks) // POINT_BYTES
        return "outline" if outlined >= limit else "sketch"


@dataclass(frozen=True, slots=True)
class _Reading:
    """One request for series."""

    run_id: int
    keys: Sequence[str] | None
    limit: int
    window: Window
    hidden: bool

    def read(self) -> dict[str, Series]:
        """Read all tables once: attempts, inbox, chunks, and then what of the chunks is wanted."""
        timeline = Timeline({}) if self.hidden else read_timeline(self.run_id)
        known: dict[str, _Key] = {key: _Key() for key in self.keys or ()}
        self._read_inbox(known, timeline)
        self._read_chunks(known, timeline)
        details = {key: one.detail(self.limit) for key, one in known.items()}
        payloads = _fetch("payload", _ids(known, details, "payload"))
        sketches = _fetch("sketch", _ids(known, details, "sketch"))
        series = {}
        for key in known if self.keys is not None else sorted(known):
            section = _Sections(key, details[key], self.window, timeline, self.limit)
            series[key] = section.assemble(known[key], payloads, sketches)
        return series

    def _read_inbox(self, known: dict[str, _Key], timeline: Timeline) -> None:
        batches = MetricBatch.objects.filter(run_id=self.run_id).order_by("id")
        wanted = None if self.keys is None else frozenset(self.keys)
        for attempt, payload in batches.values_list("attempt_number", "payload"):
            for key, points in unpack_batch(payload, wanted):
                inside = self.window.narrowed(timeline.last_step(key, attempt)).of(points)
                if len(inside):
                    known.setdefault(key, _Key()).inbox.append((attempt, inside))

    def _read_chunks(self, known: dict[str, _Key], timeline: Timeline) -> None:
        chunks = self.window.chunks(MetricChunk.objects.filter(run_id=self.run_id))
        if self.keys is not None:
            chunks = chunks.filter(key__in=self.keys)
        rows = chunks.values_list(
            "id", "key", "attempt_number", "points", "first_step", "last_step", "first_time", "last_time", "outline"
        )
        # Points of equal place keep the order they came in; the rows hold at most about 200 bytes each.
        windows: dict[tuple[str, int], Window] = {}
        for chunk, key, attempt, count, first_step, last_step, first_time, last_time, outline in sorted(
            rows, key=operator.itemgetter(0)
        ):
            window = windows.get((key, attempt))
            if window is None:
                window = windows[key, attempt] = self.window.narrowed(timeline.last_step(key, attempt))
            steps, times = (first_step, last_step), (first_time, last_time)
            is_whole = window.has_all(steps, times)
            if is_whole or not window.has_none(steps, times):
                known.setdefault(key, _Key()).chunks.append(_Chunk(chunk, attempt, count, outline, is_whole))


def _ids(known: dict[str, _Key], details: dict[str, Detail], wanted: Detail) -> list[int]:
    """Return the ids of chunks of which to read `wanted`; chunks across the window's ends are always unpacked."""
    return [
        chunk.id
        for key, one in known.items()
        for chunk in one.chunks
        if (details[key] if chunk.is_whole else "payload") == wanted
    ]


def _fetch(column: Literal["payload", "sketch"], ids: list[int]) -> dict[int, Payload]:
    rows: dict[int, Payload] = {}
    for some in in_slices(ids):
        rows.update(MetricChunk.objects.filter(id__in=some).values_list("id", column))
    return rows


@dataclass(slots=True)
class _Sections:
    """Joins the parts of one series, in the order the points came, and thins them."""

    key: str
    detail: Detail
    window: Window
    timeline: Timeline
    limit: int
    steps: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    total: int = 0

    def assemble(self, known: _Key, payloads: dict[int, Payload], sketches: dict[int, Payload]) -> Series:
        for is_selected, chunks in groupby(known.chunks, lambda chunk: chunk.is_whole and self.detail != "payload"):
            if is_selected:
                self._add_selected(list(chunks), sketches)
            else:
                for chunk in chunks:
                    self._add(chunk.attempt, self._inside(chunk, payloads))
        for attempt, points in _joined(known.inbox):
            self._add(attempt, points)
        return self._thinned()

    def _inside(self, chunk: _Chunk, payloads: dict[int, Payload]) -> Points:
        if chunk.id not in payloads:  # joined into another meanwhile: the reading is repeated
            return Points([], [], [])
        points = unpack_points(payloads[chunk.id])
        return self.window.narrowed(self.timeline.last_step(self.key, chunk.attempt)).of(points)

    def _add_selected(self, chunks: list[_Chunk], sketches: dict[int, Payload]) -> None:
        selected = [chunk.outline if self.detail == "outline" else sketches.get(chunk.id, b"") for chunk in chunks]
        self._extend(unpack_selections(selected))
        for chunk, payload in zip(chunks, selected, strict=True):
            self.attempts += [chunk.attempt] * (len(payload) // POINT_BYTES)
            self.total += chunk.count

    def _add(self, attempt: int, points: Points) -> None:
        """Add points of one attempt, selected as those of whole chunks are so that all weigh the same."""
        self.total += len(points)
        if self.detail != "payload" and len(points):
            choose = outline_indexes if self.detail == "outline" else sketch_indexes
            points = points.at(choose(points.values))
        self._extend(points)
        self.attempts += [attempt] * len(points)

    def _extend(self, points: Points) -> None:
        self.steps += points.steps
        self.times += points.times
        self.values += points.values

    def _thinned(self) -> Series:
        order = self._order()
        values = [self.values[index] for index in order]
        kept = [order[place] for place in thin(values, self.limit)]
        return Series(
            [self.steps[index] for index in kept],
            [self.times[index] for index in kept],
            [self.values[index] for index in kept],
            [self.attempts[index] for index in kept],
            total=self.total,
            thinned=len(kept) < self.total,
        )

    def _order(self) -> Sequence[int]:
        places = range(len(self.steps))
        if len(set(self.attempts)) < 2 and all(map(operator.lt, self.steps, islice(self.steps, 1, None))):
            return places
        steps, times, attempts = self.steps, self.times, self.attempts
        if self.key.startswith(SYSTEM_PREFIX):
            return sorted(places, key=lambda index: (attempts[index], steps[index], times[index]))
        return sorted(places, key=lambda index: (steps[index], attempts[index], times[index]))


def _joined(parts: Iterable[tuple[int, Points]]) -> Iterator[tuple[int, Points]]:
    """Join the points of each attempt into parts as large as chunks, in chart order, else in the order they came."""
    columns: dict[int, tuple[list[int], list[int], list[float]]] = {}
    for attempt, points in parts:
        steps, times, values = columns.setdefault(attempt, ([], [], []))
        steps += points.steps
        times += points.times
        values += points.values
    for attempt, (steps, times, values) in columns.items():
        yield from ((attempt, part) for part in Points(steps, times, values).sorted_parts(CHUNK_POINTS))
