"""Which log lines were asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from runner.protocol import LEVELS, STREAMS
from runs.telemetry.append import MAX_LINE_TIME_US
from runs.telemetry.log_ranges import TimeRange
from runs.telemetry.packing import LineColumns


@dataclass(frozen=True, slots=True)
class LineFilter:
    """What a line must be; None and empty words ask for nothing. Levels and stream are indexes of the protocol."""

    times: TimeRange
    levels: frozenset[int] | None
    stream: int | None
    attempt: int | None
    words: str

    @classmethod
    def of(
        cls,
        start_us: int | None,
        end_us: int | None,
        levels: Collection[str] | None,
        stream: str | None,
        attempt: int | None,
        contains: str | None,
    ) -> LineFilter:
        """Make a filter from what `runs.telemetry.log_pages.read_page` is asked for.

        Raises:
            ValueError: an unknown level or stream.
        """
        return cls(
            TimeRange(_storable(start_us), _storable(end_us)),
            None if levels is None else frozenset(_index(LEVELS, level) for level in levels),
            None if stream is None else _index(STREAMS, stream),
            attempt,
            (contains or "").casefold(),
        )

    @property
    def needs_text(self) -> bool:
        """Whether only the unpacked lines can tell what matches."""
        return self.stream is not None or self.attempt is not None or bool(self.words)

    def may_match(self, level_counts: list[int]) -> bool:
        """Tell whether a chunk with these lines per level may hold a match."""
        return self.levels is None or any(level_counts[level] for level in self.levels)

    def count(self, level_counts: list[int]) -> int:
        """Return how many lines match by level alone."""
        return sum(level_counts if self.levels is None else (level_counts[level] for level in self.levels))

    def matches(self, lines: LineColumns, *, is_inside: bool) -> list[int]:
        """Return the indexes of the lines that match; `is_inside`: all are known to be in the time range."""
        found: Collection[int] = range(len(lines))
        if not is_inside:
            found = [index for index in found if lines.times[index] in self.times]
        if self.levels is not None:
            found = [index for index in found if lines.levels[index] in self.levels]
        if self.stream is not None:
            found = [index for index in found if lines.streams[index] == self.stream]
        if self.attempt is not None:
            found = [index for index in found if lines.attempts[index] == self.attempt]
        if self.words:
            found = [index for index in found if self.words in lines.texts[index].casefold()]
        return list(found)


def _index(names: tuple[str, ...], name: str) -> int:
    try:
        return names.index(name)
    except ValueError:
        raise ValueError(f"{name!r} is none of {', '.join(names)}") from None


def _storable(time_us: int | None) -> int | None:
    """Move a bound of a time range to where lines can be, so that any integer may be asked for."""
    return None if time_us is None else min(max(time_us, 0), MAX_LINE_TIME_US + 1)
