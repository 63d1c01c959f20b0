"""Looking for the match before a line: windows of lines, from the cursor backwards, each searched as usual."""

from __future__ import annotations

import time

from runs.telemetry.log_blocks import LogLine, Matcher, read_blocks
from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_ranges import Span, count_lines
from runs.telemetry.log_search import SearchResult
from runs.telemetry.removed import all_or_nothing, has_log

_FIRST_LINES, _MOST_LINES = 2_000, 64_000  # of a window: the match is near as a rule, and a long way needs few steps


@all_or_nothing(has_log, lambda **_: SearchResult([], None, 0, 0))
def search_back(
    *, run_id: int, wanted: LineFilter, matcher: Matcher | None, before: int, seconds: float
) -> SearchResult:
    """Look for the last match before line `before`, until it is found or `seconds` have passed.

    Args:
        run_id: the run.
        wanted: look only at lines of these kinds; their times are not looked at.
        matcher: what to look for; None takes every line.
        before: the cursor; the `next` of the step before.
        seconds: time for looking; one window's work more may be used.

    Returns:
        At most one line. `next` is the cursor to go on with, None with a match and at the beginning of the log;
        `searched` of the `total` lines before the cursor are behind us.
    """
    deadline = time.monotonic() + seconds
    stop = total = min(before, count_lines(run_id))
    size = _FIRST_LINES
    while True:
        start = max(0, stop - size)
        found = _last_match(run_id, start, stop, wanted, matcher)
        if found or start == 0:
            return SearchResult(found, None, total - start, total)
        if time.monotonic() > deadline:
            return SearchResult([], start, total - start, total)
        stop, size = start, min(2 * size, _MOST_LINES)


def _last_match(run_id: int, start: int, stop: int, wanted: LineFilter, matcher: Matcher | None) -> list[LogLine]:
    found: list[LogLine] = []
    for block in read_blocks(run_id, [Span(start, stop, is_whole=True)], wanted, matcher):
        found = block.lines[-1:] or found
    return found
