"""Where lines stand in a log: the line at a time, a line's place among those of its kind, and how many there are."""

from __future__ import annotations

from typing import NamedTuple, cast

from runner.protocol import LEVELS, STREAMS
from runs.models import TelemetryCounter
from runs.telemetry.line_packing import unpack_lines
from runs.telemetry.log_blocks import Matcher, read_payloads, read_range
from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_marks import mark_before
from runs.telemetry.log_ranges import count_lines
from runs.telemetry.log_search import search_lines
from runs.telemetry.log_tally import Tally
from runs.telemetry.removed import all_or_nothing, has_log

MAX_COUNTED_LINES = 20_000  # looked through to count matches beside a page: some 20 ms
_TIME_SECONDS = 1.0  # for looking through late chunks, which a clock that stepped back leaves; usually some ms


def count_kinds(run_id: int) -> Tally:
    """Return how many lines of each kind the log has. One query."""
    return TelemetryCounter.objects.filter(run_id=run_id).values_list("log_tally", flat=True).first() or []


@all_or_nothing(has_log, lambda **_: cast("int | None", None))
def line_at_time(*, run_id: int, time_us: int, wanted: LineFilter) -> int | None:
    """Return the number of the first line of the kinds wanted at or after a time, µs since 1970; None without any."""
    wanted = wanted.since(time_us)
    found = search_lines(run_id=run_id, wanted=wanted, matcher=None, after=0, limit=1, seconds=_TIME_SECONDS)
    return found.items[0].number if found.items else None


def place_of(*, run_id: int, line: int, wanted: LineFilter) -> int:
    """Return how many lines of the kinds wanted come before a line, whatever their times. At most three queries.

    Without kinds that is the line itself, also behind the end of the log.
    """
    if not wanted.is_by_kind:
        return line
    mark = mark_before(run_id, line)
    if mark.stop <= line:
        return wanted.count(mark.tally)
    passed = wanted.count(mark_before(run_id, mark.first).tally)
    for first, payload in read_payloads(run_id, [mark.first]):
        passed += sum(first + index < line for index in wanted.matches(unpack_lines(payload), is_inside=True))
    return passed


class MatchPlace(NamedTuple):
    """How many matches a log has, and which of them, from 1, is at a line; None when the line is no match."""

    total: int
    number: int | None


@all_or_nothing(has_log, lambda **_: cast("MatchPlace | None", None))
def match_place(*, run_id: int, wanted: LineFilter, matcher: Matcher, line: int | None) -> MatchPlace | None:
    """Count the matches of a log of at most MAX_COUNTED_LINES lines; None in a longer one."""
    total = count_lines(run_id)
    if total > MAX_COUNTED_LINES:
        return None
    numbers = [
        one.number
        for one in read_range(run_id, 0, total)
        if wanted.is_kind(one.attempt, STREAMS.index(one.stream), LEVELS.index(one.level))
        if matcher.matches(one.message)
    ]
    return MatchPlace(len(numbers), numbers.index(line) + 1 if line in numbers else None)
