"""Which lines of a run fall into a time range: a few index look-ups instead of a scan.

`LogChunk.last_time` never decreases, so the first chunk that reaches the start and the first that reaches the end
enclose the range; between them every chunk lies inside as a whole. Only late chunks, written after a clock stepped
back, can break this, and they have an index of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runs.models import LogChunk, TelemetryCounter
from runs.telemetry.points import INT64_MAX
from runs.telemetry.prepared import PreparedSelect

_FIELDS = ("first_line", "lines", "earliest_time", "latest_time")


_COUNT_LINES = PreparedSelect(
    "run_id", build=lambda run_id: TelemetryCounter.objects.filter(run_id=run_id).values_list("log_lines")
)
_FIRST_REACHING = PreparedSelect(
    "run_id",
    "time",
    build=lambda run_id, time: (
        LogChunk.objects.filter(run_id=run_id, last_time__gte=time)
        .order_by("last_time", "first_line")
        .values_list(*_FIELDS)[:1]
    ),
)
_LATE = PreparedSelect(
    "run_id",
    "end",
    build=lambda run_id, end: (
        LogChunk.objects.filter(run_id=run_id, is_late=True, earliest_time__lt=end)
        .order_by("earliest_time")
        .values_list(*_FIELDS)
    ),
)


@dataclass(frozen=True, slots=True)
class Span:
    """Line numbers from `first` to before `stop`: all in the time range if `is_whole`, else some lines of a chunk."""

    first: int
    stop: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Times in µs since 1970 UTC; the start is included, the end is not, None is open."""

    start: int | None
    end: int | None

    def __contains__(self, time: int) -> bool:
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)

    def has_all(self, earliest: int, latest: int) -> bool:
        """Tell whether both of these times lie inside."""
        return earliest in self and latest in self

    def has_none(self, earliest: int, latest: int) -> bool:
        """Tell whether all times between these two, included, lie outside."""
        return (self.start is not None and latest < self.start) or (self.end is not None and earliest >= self.end)


def count_lines(run_id: int) -> int:
    """Return how many log lines the run has; they are numbered from 0. One query."""
    row = _COUNT_LINES.first(run_id=run_id)
    return int(row[0]) if row else 0


def find_spans(run_id: int, times: TimeRange) -> list[Span]:
    """Return where lines of the time range are, in line order; at most four queries.

    The spans grow in number only with late chunks that lie across an end of the range.
    """
    total = count_lines(run_id)
    if times.start is None and times.end is None:
        return [Span(0, total, is_whole=True)] if total else []
    enclosing = _enclosing_chunks(run_id, times)
    if enclosing is None:
        return []
    first, last = enclosing
    stop = total if last is None else min(last.stop, total)
    special = {edge.first: edge for edge in (first, last) if edge is not None}
    special |= {late.first: late for late in _late_chunks(run_id, times)}
    return list(_merge(_walk(special, first.first, stop, total, times)))


@dataclass(frozen=True, slots=True)
class _Edge:
    first: int
    stop: int
    earliest: int
    latest: int

    @classmethod
    def of(cls, row: tuple[int, ...]) -> _Edge:
        first_line, lines, earliest, latest = row
        return cls(first_line, first_line + lines, earliest, latest)


def _enclosing_chunks(run_id: int, times: TimeRange) -> tuple[_Edge, _Edge | None] | None:
    """Return the first chunk that reaches the start, and the first that reaches the end or None when none does."""
    first = _FIRST_REACHING.first(run_id=run_id, time=0 if times.start is None else times.start)
    last = None if times.end is None else _FIRST_REACHING.first(run_id=run_id, time=times.end)
    if first is None:
        return None
    return _Edge.of(first), None if last is None else _Edge.of(last)


def _late_chunks(run_id: int, times: TimeRange) -> Iterator[_Edge]:
    """Yield the late chunks that begin before the end of the range; those before its start lie outside by their times.

    Asked for by nothing but what their own index holds: with a condition on `last_time`, SQLite would rather walk over
    all chunks from the start of the range on.
    """
    end = INT64_MAX if times.end is None else times.end
    return map(_Edge.of, _LATE.rows(run_id=run_id, end=end))


def _walk(special: dict[int, _Edge], place: int, stop: int, total: int, times: TimeRange) -> Iterator[Span]:
    """Yield whole spans between the special chunks up to `stop`, and the special chunks by their own times."""
    for first in sorted(special):
        edge = special[first]
        if place < min(first, stop):
            yield Span(place, min(first, stop), is_whole=True)
        place = max(place, edge.stop)
        if not times.has_none(edge.earliest, edge.latest):
            yield Span(first, min(edge.stop, total), is_whole=times.has_all(edge.earliest, edge.latest))
    if place < stop:
        yield Span(place, stop, is_whole=True)


def _merge(spans: Iterator[Span]) -> Iterator[Span]:
    """Join whole spans that touch, leave out empty ones."""
    held: Span | None = None
    for span in spans:
        if span.first >= span.stop:
            continue
        if held is not None and held.is_whole and span.is_whole and held.stop == span.first:
            held = Span(held.first, span.stop, is_whole=True)
            continue
        if held is not None:
            yield held
        held = span
    if held is not None:
        yield held
