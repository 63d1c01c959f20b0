"""Which log lines were asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from runner.protocol import LEVELS, STREAMS
from runs.telemetry.line_packing import LineColumns
from runs.telemetry.log_chunks import MAX_LINE_TIME_US
from runs.telemetry.log_ranges import TimeRange
from runs.telemetry.log_tally import Tally


@dataclass(frozen=True, slots=True)
class LineFilter:
    """What a line must be; None asks for nothing. Levels and streams are indexes of the protocol."""

    times: TimeRange
    levels: frozenset[int] | None
    streams: frozenset[int] | None
    attempt: int | None

    @classmethod
    def of(
        cls,
        *,
        start_us: int | None = None,
        end_us: int | None = None,
        levels: Collection[str] | None = None,
        streams: Collection[str] | None = None,
        attempt: int | None = None,
    ) -> LineFilter:
        """Make a filter.

        Args:
            start_us: keep lines with this time or later; µs since 1970 UTC of the line's own clock.
            end_us: keep lines before this time.
            levels: keep lines of these levels, names of the protocol; empty keeps none.
            streams: keep lines of these streams, names of the protocol; empty keeps none.
            attempt: keep lines of this attempt number.

        Raises:
            ValueError: an unknown level or stream.
        """
        return cls(
            TimeRange(_storable(start_us), _storable(end_us)),
            None if levels is None else frozenset(_index(LEVELS, level) for level in levels),
            None if streams is None else frozenset(_index(STREAMS, stream) for stream in streams),
            attempt,
        )

    def since(self, start_us: int) -> LineFilter:
        """Return a filter of the same kinds for lines with this time or later."""
        return replace(self, times=TimeRange(_storable(start_us), None))

    @property
    def is_by_kind(self) -> bool:
        """Whether anything but the time is asked for."""
        return self.levels is not None or self.streams is not None or self.attempt is not None

    def is_kind(self, attempt: int, stream: int, level: int) -> bool:
        """Tell whether a line of this kind matches, whatever its time."""
        return (
            (self.levels is None or level in self.levels)
            and (self.streams is None or stream in self.streams)
            and (self.attempt is None or attempt == self.attempt)
        )

    def count(self, tally: Tally) -> int:
        """Return how many lines of a tally match, whatever their times."""
        return sum(count for attempt, stream, level, count in tally if self.is_kind(attempt, stream, level))

    def matches(self, lines: LineColumns, *, is_inside: bool) -> Collection[int]:
        """Return the indexes of the lines that match, ascending; `is_inside`: all are known to be in the time range."""
        found: Collection[int] = range(len(lines))
        if not is_inside:
            found = [index for index in found if lines.times[index] in self.times]
        if self.levels is not None:
            found = [index for index in found if lines.levels[index] in self.levels]
        if self.streams is not None:
            found = [index for index in found if lines.streams[index] in self.streams]
        if self.attempt is not None:
            found = [index for index in found if lines.attempts[index] == self.attempt]
        return found


def _index(names: tuple[str, ...], name: str) -> int:
    try:
        return names.index(name)
    except ValueError:
        raise ValueError(f"{name!r} is none of {', '.join(names)}") from None


def _storable(time_us: int | None) -> int | None:
    """Move a bound of a time range to where lines can be, so that any integer may be asked for."""
    return None if time_us is None else min(max(time_us, 0), MAX_LINE_TIME_US + 1)
