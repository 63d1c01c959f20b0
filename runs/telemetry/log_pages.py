"""Pages of a log with an exact total, and following it from a cursor.

Without filters a page is arithmetic on line numbers; a time range adds a few look-ups; a kind of line (level, stream,
attempt) is counted and found by the chunks' running tallies: a few look-ups more in a longer log. Words in the text are
looked for in every line: `runs.telemetry.log_search` does it in bounded steps, a page only while the lines are few.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from runs.telemetry.line_packing import unpack_lines
from runs.telemetry.log_blocks import (
    PAYLOADS_AT_ONCE,
    Block,
    LogLine,
    Matcher,
    lines_at,
    read_blocks,
    read_payloads,
    read_range,
)
from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_marks import Mark, mark_before, marks_from, seek
from runs.telemetry.log_ranges import Span, count_lines, find_spans
from runs.telemetry.removed import all_or_nothing, has_log

MAX_SCANNED_LINES = 1_000_000  # looked at for one page with words: about half a second
_IDLE_CHUNKS = 100  # in a row without a match; looking up the next match costs about as much


class TooManyLinesError(Exception):
    """A page with words would have to look at more than MAX_SCANNED_LINES lines."""


@dataclass(frozen=True, slots=True)
class LogPage:
    """The lines of a page in line order, and how many lines match in the whole run."""

    total: int
    items: list[LogLine]


@all_or_nothing(has_log, lambda **_: LogPage(0, []))
def read_page(
    *, run_id: int, page: int, page_size: int, wanted: LineFilter | None = None, matcher: Matcher | None = None
) -> LogPage:
    """Return one page of the lines that match; a page behind the last one is empty.

    Args:
        run_id: the run; one that does not exist has no lines.
        page: from 1.
        page_size: lines a page, at least 1.
        wanted: keep lines of these times and kinds; None keeps all.
        matcher: keep lines whose text matches.

    Raises:
        ValueError: page or page_size below 1.
        TooManyLinesError: there are too many lines to look at all their texts at once.
    """
    if page < 1 or page_size < 1:
        raise ValueError("page and page_size start at 1")
    wanted = wanted or LineFilter.of()
    spans = find_spans(run_id, wanted.times)
    parts = [part for span in spans for part in _parts(run_id, span, wanted)]
    if matcher is not None:
        if sum(part.count for part in parts) > MAX_SCANNED_LINES:
            raise TooManyLinesError
        return _scan(read_blocks(run_id, spans, wanted, matcher), skip=(page - 1) * page_size, room=page_size)
    return _cut_page(parts, skip=(page - 1) * page_size, room=page_size)


@all_or_nothing(has_log, lambda **_: [])
def follow(*, run_id: int, after: int, limit: int) -> list[LogLine]:
    """Return at most `limit` lines with number `after` or higher, in order; the next cursor is the last number + 1."""
    first = max(after, 0)
    return read_range(run_id, first, min(first + limit, count_lines(run_id)))


def _scan(blocks: Iterable[Block], *, skip: int, room: int) -> LogPage:
    """Count all matches and keep those of the page."""
    total = 0
    items: list[LogLine] = []
    for lines, _ in blocks:
        items += lines[max(0, skip - total) : max(0, skip + room - total)]
        total += len(lines)
    return LogPage(total, items)


class _Part(Protocol):
    """Some matches of a log, counted and not read yet."""

    @property
    def count(self) -> int: ...

    def read(self, skip: int, count: int) -> list[LogLine]: ...


def _cut_page(parts: list[_Part], *, skip: int, room: int) -> LogPage:
    total = 0
    items: list[LogLine] = []
    for part in parts:
        passed = max(0, skip - total)
        taken = min(room - len(items), part.count - passed)
        if taken > 0:
            items += part.read(passed, taken)
        total += part.count
    return LogPage(total, items)


def _parts(run_id: int, span: Span, wanted: LineFilter) -> Iterator[_Part]:
    """Yield the matches of a span with the least reading that counts them exactly."""
    if not span.is_whole:
        yield _Lines(_lines_of(run_id, span.first, span, wanted))
    elif not wanted.is_by_kind:
        yield _Run(run_id, span.first, span.stop)
    else:
        end = mark_before(run_id, span.stop)
        has_grown = end.stop > span.stop  # lines came after the span was found
        stop = end.first if has_grown else span.stop
        last = mark_before(run_id, stop) if has_grown else end
        if span.first < stop:
            yield _Kind.counted(run_id, span.first, stop, wanted, last)
        if has_grown:
            yield _Lines(_lines_of(run_id, end.first, span, wanted))


def _lines_of(run_id: int, first: int, span: Span, wanted: LineFilter) -> list[LogLine]:
    """Return the matches in the one chunk that begins at line `first`, as far as it is in the span."""
    found: list[LogLine] = []
    for place, payload in read_payloads(run_id, [first]):
        columns = unpack_lines(payload)
        found += lines_at(place, columns, wanted.matches(columns, is_inside=span.is_whole))
    return [line for line in found if line.number < span.stop]


@dataclass(frozen=True, slots=True)
class _Run:
    """All lines from `first` to before `stop`."""

    run_id: int
    first: int
    stop: int

    @property
    def count(self) -> int:
        return self.stop - self.first

    def read(self, skip: int, count: int) -> list[LogLine]:
        return read_range(self.run_id, self.first + skip, self.first + skip + count)


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines that had to be read to be counted."""

    lines: list[LogLine]

    @property
    def count(self) -> int:
        return len(self.lines)

    def read(self, skip: int, count: int) -> list[LogLine]:
        return self.lines[skip : skip + count]


@dataclass(frozen=True, slots=True)
class _Kind:
    """The lines of a kind in the chunks from line `first` to before `stop`, the end of `last`; `passed` come before."""

    run_id: int
    first: int
    stop: int
    wanted: LineFilter
    passed: int
    count: int
    last: Mark

    @classmethod
    def counted(cls, run_id: int, first: int, stop: int, wanted: LineFilter, last: Mark) -> _Kind:
        """Count; `last` is the chunk that ends at `stop`, as it was when the span was found."""
        passed = wanted.count(mark_before(run_id, first).tally)
        return cls(run_id, first, stop, wanted, passed, wanted.count(last.tally) - passed, last)

    def read(self, skip: int, count: int) -> list[LogLine]:
        target = self.passed + skip
        firsts, reached, passed = list[int](), target, 0
        while reached < target + count:
            before, mark = seek(self.run_id, self.wanted, first=self.first, last=self.last, skip=reached)
            counted = self.wanted.count(before.tally)
            passed = passed if firsts else target - counted
            found, reached = self._walk(mark, counted, target + count)
            firsts += found
        return self._matches(firsts)[passed : passed + count]

    def _walk(self, mark: Mark, counted: int, wanted: int) -> tuple[list[int], int]:
        """Return the first lines of the next chunks with matches, and the matches up to the end of the last of them.

        Ends with `wanted` matches, or where too many chunks in a row have none: then it is time to seek.
        """
        firsts: list[int] = []
        idle = 0
        for chunk in marks_from(self.run_id, mark, self.stop):
            up_to = self.wanted.count(chunk.tally)
            idle = 0 if up_to > counted else idle + 1
            if up_to > counted:
                firsts.append(chunk.first)
            counted = up_to
            if counted >= wanted or idle >= _IDLE_CHUNKS:
                break
        return firsts, counted

    def _matches(self, firsts: list[int]) -> list[LogLine]:
        found: list[LogLine] = []
        for start in range(0, len(firsts), PAYLOADS_AT_ONCE):
            for first, payload in read_payloads(self.run_id, firsts[start : start + PAYLOADS_AT_ONCE]):
                columns = unpack_lines(payload)
                found += lines_at(first, columns, self.wanted.matches(columns, is_inside=True))
        return [line for line in found if line.number < self.stop]
