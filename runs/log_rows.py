"""Lines of a log as a page shows them: styled pieces, times, folds, marks of matches."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from runs.ansi import Piece, mark_matches, read_pieces
from runs.log_progress import Fold, fold_lines, split_updates
from runs.telemetry.log_blocks import LogLine
from runs.telemetry.log_search import Finder

MAX_SHOWN_CHARACTERS = 2_000  # of a line among others; its own page shows it whole
_LONGEST_SEQUENCE = 40  # characters; a cut should not leave half of one
SHORT_LEVELS: Final = {"DEBUG": "debug", "INFO": "", "WARNING": "warn", "ERROR": "error", "CRITICAL": "fatal"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line: its number, time and level; `pieces` is its text, `left_out` the characters that it has more.

    `day` and `attempt` are set where they differ from the row before. `updates` are the earlier states of the line's
    progress bar, `lines` the earlier lines that were updates of the same one.
    """

    number: int
    time_us: int
    time: str
    level: str
    note: str
    pieces: list[Piece]
    left_out: int = 0
    day: str = ""
    attempt: int | None = None
    is_target: bool = False
    updates: list[list[Piece]] = field(default_factory=list)
    lines: list[Row] = field(default_factory=list)

    @property
    def short_level(self) -> str:
        """The level in few letters; that of most lines has none."""
        return SHORT_LEVELS[self.level]

    @property
    def folded(self) -> int:
        """How many updates are folded away."""
        return len(self.updates) + len(self.lines)

    @property
    def has_target(self) -> bool:
        """Whether the line that was asked for is folded away here."""
        return any(line.is_target for line in self.lines)


def build_rows(
    lines: Sequence[LogLine], *, finder: Finder | None = None, target: int | None = None, is_folded: bool = True
) -> list[Row]:
    """Return the rows of lines that are shown together.

    Args:
        lines: in line order.
        finder: matches of it are marked.
        target: number of the line that was asked for; it is shown whole.
        is_folded: fold lines that are updates of one progress bar.
    """
    folds = fold_lines(lines) if is_folded else [Fold(line, []) for line in lines]
    return list(_rows(folds, finder, target))


def _rows(folds: list[Fold], finder: Finder | None, target: int | None) -> Iterator[Row]:
    day, attempt = "", 1
    for last, earlier in folds:
        lines = [_row(line, finder, target) for line in earlier]
        today = _day(last.time_us // 86_400_000_000)
        yield _row(
            last, finder, target,
            lines=lines,
            day=today if today != day else "",
            attempt=last.attempt if last.attempt != attempt else None,
        )  # fmt: skip
        day, attempt = today, last.attempt


def _row(
    line: LogLine,
    finder: Finder | None,
    target: int | None,
    *,
    lines: list[Row] | None = None,
    day: str = "",
    attempt: int | None = None,
) -> Row:
    states = split_updates(line.message)
    is_target = line.number == target
    pieces, left_out = _text(states.last, finder, is_whole=is_target)
    seconds, micros = divmod(line.time_us, 1_000_000)
    return Row(
        number=line.number,
        time_us=line.time_us,
        time=f"{_clock(seconds % 86400)}.{micros // 1000:03d}",
        level=line.level,
        note=line.stream if line.attempt == 1 else f"{line.stream}, attempt {line.attempt}",
        pieces=pieces,
        left_out=left_out,
        day=day,
        attempt=attempt,
        is_target=is_target,
        updates=[_text(state, finder, is_whole=False)[0] for state in states.earlier],
        lines=lines or [],
    )


def _text(text: str, finder: Finder | None, *, is_whole: bool) -> tuple[list[Piece], int]:
    """Return the pieces of a text and how many characters were left out; a match behind the cut makes it whole."""
    shown = text if is_whole or len(text) <= MAX_SHOWN_CHARACTERS else _cut(text)
    pieces = read_pieces(shown)
    if finder is not None:
        places = finder.places("".join(piece.text for piece in pieces))
        if not places and len(shown) < len(text):
            return _text(text, finder, is_whole=True)
        pieces = mark_matches(pieces, places)
    return pieces, len(text) - len(shown)


def _cut(text: str) -> str:
    shown = text[:MAX_SHOWN_CHARACTERS]
    begun = shown.rfind("\x1b", MAX_SHOWN_CHARACTERS - _LONGEST_SEQUENCE)
    return shown if begun < 0 else shown[:begun]


@functools.lru_cache(maxsize=4096)
def _clock(second: int) -> str:
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


@functools.lru_cache(maxsize=1024)
def _day(days: int) -> str:
    return datetime.fromtimestamp(days * 86400, UTC).strftime("%Y-%m-%d")
