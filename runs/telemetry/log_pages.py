"""Reading log lines: pages with an exact total, following from a cursor, and everything for a download.

Without filters a page is arithmetic on line numbers; a time range adds a few look-ups. A filter by level counts with
the chunks' summaries; one by stream, attempt or words unpacks every chunk of the range, a few at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from runner.protocol import LEVELS, STREAMS, Level, Stream
from runs.models import LogChunk
from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_ranges import Span, count_lines, find_spans
from runs.telemetry.newest import in_slices
from runs.telemetry.packing import LineColumns, Payload, unpack_lines
from runs.telemetry.removed import all_or_nothing, has_log

__all__ = ["LogLine", "LogPage", "count_lines", "follow", "iterate_lines", "read_page"]

_SUMMARIES_AT_ONCE = 1000  # rows of about 100 bytes
_PAYLOADS_AT_ONCE = 16  # chunks of at most 64 kB of text


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line: its number in the run (from 0), its node's time (µs since 1970 UTC), and what was written."""

    number: int
    time_us: int
    level: Level
    stream: Stream
    attempt: int
    message: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """The lines of a page in line order, and how many lines match in the whole run."""

    total: int
    items: list[LogLine]


@all_or_nothing(has_log, lambda **_: LogPage(0, []))
def read_page(
    *,
    run_id: int,
    page: int,
    page_size: int,
    start_us: int | None = None,
    end_us: int | None = None,
    levels: Collection[str] | None = None,
    stream: str | None = None,
    attempt: int | None = None,
    contains: str | None = None,
) -> LogPage:
    """Return one page of the lines that match; a page behind the last one is empty.

    Args:
        run_id: the run; one that does not exist has no lines.
        page: from 1.
        page_size: lines a page, at least 1.
        start_us: keep lines with this time or later; µs since 1970 UTC of the line's own clock.
        end_us: keep lines before this time.
        levels: keep lines of these levels, names of the protocol; empty keeps none.
        stream: keep lines of this stream, a name of the protocol.
        attempt: keep lines of this attempt number.
        contains: keep lines with these words, whatever their case.

    Raises:
        ValueError: page or page_size below 1, or an unknown level or stream.
    """
    if page < 1 or page_size < 1:
        raise ValueError("page and page_size start at 1")
    wanted = LineFilter.of(start_us, end_us, levels, stream, attempt, contains)
    pager = _Pager(skip=(page - 1) * page_size, room=page_size)
    for found in _search(run_id, wanted):
        pager.add(found)
    return LogPage(pager.total, _load(run_id, pager.taken, wanted))


@all_or_nothing(has_log, lambda **_: [])
def follow(*, run_id: int, after: int, limit: int) -> list[LogLine]:
    """Return at most `limit` lines with number `after` or higher, in order; the next cursor is the last number + 1."""
    first = max(after, 0)
    stop = min(first + limit, count_lines(run_id))
    return list(_read_range(run_id, first, stop))


def iterate_lines(
    *,
    run_id: int,
    start_us: int | None = None,
    end_us: int | None = None,
    levels: Collection[str] | None = None,
    stream: str | None = None,
    attempt: int | None = None,
    contains: str | None = None,
) -> Iterator[LogLine]:
    """Yield all lines that match, with the memory of a few chunks; arguments and errors as `read_page`.

    Lines that come after the first one is asked for may be left out.
    """
    wanted = LineFilter.of(start_us, end_us, levels, stream, attempt, contains)
    for span in find_spans(run_id, wanted.times):
        for place, columns in _chunks(run_id, span, wanted):
            for index in wanted.matches(columns, is_inside=span.is_whole):
                number = place + index
                if span.first <= number < span.stop:
                    yield _line(number, columns, index)


@dataclass(frozen=True, slots=True)
class _Found:
    """`count` matches among the lines from `first` to before `stop`.

    `lines` are the matches where they had to be unpacked to be counted, else None. `is_run`: every line matches.
    """

    first: int
    stop: int
    count: int
    is_run: bool = False
    is_inside: bool = True
    lines: list[LogLine] | None = None


@dataclass(frozen=True, slots=True)
class _Taken:
    """The matches from the `skip`-th on, at most `count`, of what was found."""

    found: _Found
    skip: int
    count: int


@dataclass(slots=True)
class _Pager:
    """Counts all matches and remembers where those of the page are."""

    skip: int
    room: int
    total: int = 0
    taken: list[_Taken] = field(default_factory=list)

    def add(self, found: _Found) -> None:
        skip = max(0, self.skip - self.total)
        self.total += found.count
        count = min(self.room, found.count - skip)
        if count > 0:
            self.room -= count
            self.taken.append(_Taken(found, skip, count))


def _search(run_id: int, wanted: LineFilter) -> Iterator[_Found]:
    """Yield where matches are, in line order, with the least reading that counts them exactly."""
    is_plain = wanted.levels is None and not wanted.needs_text
    for span in find_spans(run_id, wanted.times):
        if is_plain and span.is_whole:
            yield _Found(span.first, span.stop, span.stop - span.first, is_run=True)
        elif wanted.needs_text or not span.is_whole:
            yield from _search_text(run_id, span, wanted)
        else:
            yield from _search_levels(run_id, span, wanted)


def _search_levels(run_id: int, span: Span, wanted: LineFilter) -> Iterator[_Found]:
    for rows in _summaries(run_id, span):
        for first, lines, level_counts in rows:
            stop = min(first + lines, span.stop)
            if stop - first < lines:  # lines came after the span was found
                yield from _search_text(run_id, Span(first, stop, is_whole=True), wanted)
            elif wanted.may_match(level_counts):
                yield _Found(first, stop, wanted.count(level_counts))


def _search_text(run_id: int, span: Span, wanted: LineFilter) -> Iterator[_Found]:
    for first, columns in _chunks(run_id, span, wanted):
        stop = min(first + len(columns), span.stop)
        matches = [i for i in wanted.matches(columns, is_inside=span.is_whole) if first + i < stop]
        yield _Found(
            first, stop, len(matches), is_inside=span.is_whole, lines=[_line(first + i, columns, i) for i in matches]
        )


def _load(run_id: int, taken: list[_Taken], wanted: LineFilter) -> list[LogLine]:
    """Return the lines of the page; what was not unpacked yet is read with one query for some chunks."""
    firsts = [one.found.first for one in taken if one.found.lines is None and not one.found.is_run]
    payloads = _payloads_at(run_id, firsts)
    items: list[LogLine] = []
    for one in taken:
        found, stop = one.found, one.skip + one.count
        if found.is_run:
            items += _read_range(run_id, found.first + one.skip, found.first + stop)
        elif found.lines is not None:
            items += found.lines[one.skip : stop]
        else:
            columns = unpack_lines(payloads[found.first])
            matches = wanted.matches(columns, is_inside=True)[one.skip : stop]
            items += [_line(found.first + index, columns, index) for index in matches]
    return items


def _payloads_at(run_id: int, firsts: list[int]) -> dict[int, Payload]:
    payloads: dict[int, Payload] = {}
    for some in in_slices(firsts):
        chunks = LogChunk.objects.filter(run_id=run_id, first_line__in=some)
        payloads.update(chunks.values_list("first_line", "payload"))
    return payloads


def _read_range(run_id: int, first: int, stop: int) -> Iterator[LogLine]:
    """Yield the lines with numbers from `first` to before `stop`."""
    if first >= stop:
        return
    chunks = LogChunk.objects.filter(run_id=run_id)
    place = chunks.filter(first_line__lte=first).order_by("-first_line").values("first_line")[:1]
    rows = chunks.filter(first_line__gte=place, first_line__lt=stop).order_by("first_line")
    for chunk_first, payload in rows.values_list("first_line", "payload"):
        columns = unpack_lines(payload)
        for number in range(max(first, chunk_first), min(stop, chunk_first + len(columns))):
            yield _line(number, columns, number - chunk_first)


def _summaries(run_id: int, span: Span) -> Iterator[list[tuple[int, int, list[int]]]]:
    """Yield lists of (first line, lines, level counts) of the chunks that begin in the span.

    Spans begin and end between chunks, but for the last one while lines are added to it.
    """
    place = span.first
    while place < span.stop:
        chunks = LogChunk.objects.filter(run_id=run_id, first_line__gte=place, first_line__lt=span.stop)
        rows = list(
            chunks.order_by("first_line").values_list("first_line", "lines", "level_counts")[:_SUMMARIES_AT_ONCE]
        )
        if rows:
            yield rows
        if len(rows) < _SUMMARIES_AT_ONCE:
            return
        place = rows[-1][0] + 1


def _chunks(run_id: int, span: Span, wanted: LineFilter) -> Iterator[tuple[int, LineColumns]]:
    """Yield first line and lines of the chunks in the span that may hold a match."""
    if not span.is_whole:  # one chunk, of which the first line is known
        for first, payload in _payloads_at(run_id, [span.first]).items():
            yield first, unpack_lines(payload)
        return
    for rows in _summaries(run_id, span):
        firsts = [first for first, _, level_counts in rows if wanted.may_match(level_counts)]
        for start in range(0, len(firsts), _PAYLOADS_AT_ONCE):
            some = firsts[start : start + _PAYLOADS_AT_ONCE]
            payloads = _payloads_at(run_id, some)
            for first in some:
                yield first, unpack_lines(payloads[first])


def _line(number: int, lines: LineColumns, index: int) -> LogLine:
    return LogLine(
        number,
        lines.times[index],
        LEVELS[lines.levels[index]],
        STREAMS[lines.streams[index]],
        lines.attempts[index],
        lines.texts[index],
    )
