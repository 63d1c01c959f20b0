"""Log lines as readers get them, and walking over a log chunk by chunk with the memory of a few chunks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from django.db.models import QuerySet

from runner.protocol import LEVELS, STREAMS, Level, Stream
from runs.models import LogChunk
from runs.telemetry.line_packing import LineColumns, inflate, lines_of, unpack_lines
from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_marks import Mark, mark_before, marks_from
from runs.telemetry.log_ranges import Span
from runs.telemetry.packing import Payload
from runs.telemetry.prepared import PreparedSelect

IDLE_CHUNKS = 500  # tallies looked at in vain before a reader hears of it: some ms
PAYLOADS_AT_ONCE = 16  # chunks of at most 128 kB of text


def _range(run_id: int, first: int, stop: int) -> QuerySet[Any, Any]:
    chunks = LogChunk.objects.filter(run_id=run_id)
    place = chunks.filter(first_line__lte=first).order_by("-first_line").values("first_line")[:1]
    rows = chunks.filter(first_line__gte=place, first_line__lt=stop).order_by("first_line")
    return rows.values_list("first_line", "payload")


_RANGE = PreparedSelect("run_id", "first", "stop", build=_range)


class LogLine(NamedTuple):
    """A line: its number in the run (from 0), its node's time (µs since 1970 UTC), and what was written."""

    number: int
    time_us: int
    level: Level
    stream: Stream
    attempt: int
    message: str


class Matcher(Protocol):
    """Says which texts are looked for."""

    def may_be_in(self, document: bytes) -> bool:
        """Tell from the unparsed JSON of a chunk whether one of its texts may match."""

    def matches(self, text: str) -> bool:
        """Tell whether a text matches."""


class Block(NamedTuple):
    """What one step over the log found: matches in line order, and the line with which the next step begins."""

    lines: list[LogLine]
    next: int


def lines_at(first: int, columns: LineColumns, indexes: Iterable[int]) -> list[LogLine]:
    """Return the lines at some indexes of a chunk whose first line has the number `first`."""
    times, levels, streams = columns.times, columns.levels, columns.streams
    attempts, texts = columns.attempts, columns.texts
    return [
        LogLine(first + i, times[i], LEVELS[levels[i]], STREAMS[streams[i]], attempts[i], texts[i]) for i in indexes
    ]


def read_blocks(
    run_id: int, spans: Iterable[Span], wanted: LineFilter, matcher: Matcher | None = None, *, start: int = 0
) -> Iterator[Block]:
    """Yield the matches in the spans from line `start` on, a chunk at a time; chunks without any may be passed over.

    Lines that come after the spans were found are left out. Raises: KeyError when a chunk was removed meanwhile.
    """
    for span in spans:
        first = max(span.first, start)
        for mark, payload in _chunks(run_id, span, first, wanted):
            stop = min(mark.stop, span.stop)
            if payload is None:
                yield Block([], stop)
                continue
            inside = range(max(first - mark.first, 0), stop - mark.first)
            yield Block(_matches(mark.first, payload, inside, wanted, matcher, is_inside=span.is_whole), stop)
        if first < span.stop:
            yield Block([], span.stop)


def _matches(
    first: int, payload: Payload, inside: range, wanted: LineFilter, matcher: Matcher | None, *, is_inside: bool
) -> list[LogLine]:
    """Return the matches among the lines `inside` of one chunk; parsing is saved where no text can match."""
    document = inflate(payload)
    if matcher is not None and not matcher.may_be_in(document):
        return []
    columns = lines_of(document)
    indexes = [index for index in wanted.matches(columns, is_inside=is_inside) if index in inside]
    if matcher is not None:
        indexes = [index for index in indexes if matcher.matches(columns.texts[index])]
    return lines_at(first, columns, indexes)


def _chunks(run_id: int, span: Span, first: int, wanted: LineFilter) -> Iterator[tuple[Mark, Payload | None]]:
    """Yield the chunks of a span from line `first` on that may hold a line of the kind.

    Where many in a row hold none, the last of them comes without its payload: the way is long, and readers want to
    know how far they are.
    """
    if first >= span.stop:
        return
    before = mark_before(run_id, first)
    if before.stop > first:  # the cursor is inside this chunk
        before = mark_before(run_id, before.first)
    marks = marks_from(run_id, before, span.stop)
    passed = wanted.count(next(marks).tally)
    waiting: list[Mark] = []
    idle = 0
    for mark in marks:
        counted = wanted.count(mark.tally)
        idle = 0 if counted > passed else idle + 1
        if counted > passed:
            waiting.append(mark)
        passed = counted
        if idle == IDLE_CHUNKS:
            yield from _with_payloads(run_id, waiting)
            yield mark, None
            waiting, idle = [], 0
        if len(waiting) == PAYLOADS_AT_ONCE:
            yield from _with_payloads(run_id, waiting)
            waiting = []
    yield from _with_payloads(run_id, waiting)


def _with_payloads(run_id: int, marks: list[Mark]) -> Iterator[tuple[Mark, Payload]]:
    payloads = dict(read_payloads(run_id, [mark.first for mark in marks]))
    yield from ((mark, payloads[mark.first]) for mark in marks)


def read_payloads(run_id: int, firsts: Collection[int]) -> Iterator[tuple[int, Payload]]:
    """Yield first line and payload of the chunks that begin at these lines, in line order. One query, or none."""
    if firsts:
        chunks = LogChunk.objects.filter(run_id=run_id, first_line__in=firsts).order_by("first_line")
        yield from chunks.values_list("first_line", "payload")


def read_range(run_id: int, first: int, stop: int) -> list[LogLine]:
    """Return the lines with numbers from `first` to before `stop`. One query."""
    if first >= stop:
        return []
    found: list[LogLine] = []
    for chunk_first, payload in _RANGE.rows(run_id=run_id, first=first, stop=stop):
        columns = unpack_lines(payload)
        inside = range(max(first - chunk_first, 0), min(stop - chunk_first, len(columns)))
        found += lines_at(chunk_first, columns, inside)
    return found
