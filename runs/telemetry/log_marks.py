"""Finding lines of a kind in a long log by the running tallies of its chunks, without reading what lies before."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import QuerySet

from runs.models import LogChunk
from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_tally import Tally

_FIELDS = ("first_line", "lines", "tally")
_FEWEST_AT_ONCE, _MOST_AT_ONCE = 16, 1000  # chunks whose tallies, about 100 bytes each, are read by one query


class Mark(NamedTuple):
    """A chunk and how many lines of each kind there are up to its end."""

    first: int
    lines: int
    tally: Tally

    @property
    def stop(self) -> int:
        """Number of the line after its last one."""
        return self.first + self.lines


BEGINNING = Mark(0, 0, ())


def mark_before(run_id: int, line: int) -> Mark:
    """Return the chunk that holds the line before `line`: the beginning when there is none. At most one query."""
    if line <= 0:
        return BEGINNING
    row = _chunks(run_id).filter(first_line__lt=line).order_by("-first_line").values_list(*_FIELDS).first()
    return Mark(*row) if row else BEGINNING


def seek(run_id: int, wanted: LineFilter, *, first: int, last: Mark, skip: int) -> tuple[Mark, Mark]:
    """Return the chunk with the match after `skip` others, counted from line 0, and the chunk before it.

    Args:
        run_id: the run.
        wanted: what matches; its times are not looked at.
        first: the chunk is at or behind this line, which begins a chunk.
        last: and is this one or before it; the match must exist.
        skip: matches to pass over.

    Looks up chunks where the match would be if matches were spread evenly, and each third time in the middle: some
    3 look-ups for most logs, three times the binary logarithm of the number of chunks at the worst.

    Raises:
        KeyError: chunks were removed meanwhile.
    """
    before, after = mark_before(run_id, first), last
    for turn in itertools.count(1):
        if before.stop >= after.first:
            break
        low, high = wanted.count(before.tally), wanted.count(after.tally)
        share = (skip - low) / (high - low) if turn % 3 else 0.5
        guess = before.stop + int((after.first - before.stop) * share)
        found = mark_before(run_id, min(guess, after.first - 1) + 1)
        if found.stop <= before.stop:
            raise KeyError(guess)  # the log is being removed
        if wanted.count(found.tally) <= skip:
            before = found
        else:
            after = found
    return before, after


def marks_from(run_id: int, mark: Mark, stop: int) -> Iterator[Mark]:
    """Yield `mark` and the chunks behind it that begin before `stop`, a growing number of them by one query."""
    yield mark
    place, at_once = mark.stop, _FEWEST_AT_ONCE
    while place < stop:
        rows = _chunks(run_id).filter(first_line__gte=place, first_line__lt=stop).order_by("first_line")
        found = [Mark(*row) for row in rows.values_list(*_FIELDS)[:at_once]]
        yield from found
        if len(found) < at_once:
            return
        place, at_once = found[-1].stop, min(2 * at_once, _MOST_AT_ONCE)


def _chunks(run_id: int) -> QuerySet[LogChunk]:
    return LogChunk.objects.filter(run_id=run_id)
