"""Progress bars in logs: of many updates the last one is shown, the ones before it are folded away but kept.

A bar reaches the log in two ways. On a terminal it overwrites itself with carriage returns; the runner keeps the last
state of such a line, other senders may not. Without a terminal many programs write each update as a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from runs.ansi import plain_text
from runs.telemetry.log_blocks import LogLine

LEAST_FOLDED = 3  # updates in a row; two lines are read faster than a fold is opened
_MAX_READ = 400  # characters in which a bar must show that it is one

# tqdm "Training:  12%|█▏   | 12/100 [00:01<00:09]", Keras "12/100 [==>...]", rich and pip "Downloading ━━━━━ 1 GB",
# and a percentage that begins or ends the line. What stands before it names the bar.
_BAR = re.compile(
    r"(\d{1,3}(?:\.\d{1,6})?)%\s?\||(\d{1,9})/\d{1,9} \[[=>.\- ]*\]|[━╸╺█▏▎▍▌▋▊▉░▒▓]{5,}"
    r"|^\s{0,20}(\d{1,3}(?:\.\d{1,6})?)%(?= |$)|(?<=: )\s{0,20}(\d{1,3}(?:\.\d{1,6})?)%$"
)


class Updates(NamedTuple):
    """A line in which a bar overwrote itself: its last state, and the states before it, oldest first."""

    last: str
    earlier: list[str]


class Bar(NamedTuple):
    """A progress bar: what stands before it, and how far it is, in the bar's own measure; 0 when it does not say."""

    name: str
    done: float

    def follows(self, before: Bar) -> bool:
        """Tell whether this is a later state of the same bar. One that begins anew is another one."""
        return self.name == before.name and self.done >= before.done


class Fold(NamedTuple):
    """Lines next to each other, of which the last one is shown; `earlier` is empty for a line that is no update."""

    last: LogLine
    earlier: list[LogLine]


def split_updates(text: str) -> Updates:
    """Cut a line at its carriage returns. What follows the last one is the last state, unless nothing does."""
    if "\r" not in text:
        return Updates(text, [])
    states = [state for state in text.split("\r") if state.strip()]
    return Updates(states[-1], states[:-1]) if states else Updates("", [])


def read_bar(text: str) -> Bar | None:
    """Return the progress bar of which this line is an update; None when it is none."""
    if "%" not in text and "[" not in text and "━" not in text and "█" not in text:
        return None
    shown = plain_text(text[:_MAX_READ])
    found = _BAR.search(shown)
    if found is None:
        return None
    return Bar(shown[: found.start()].strip(), float(next(filter(None, found.groups()), 0)))


def fold_lines(lines: Sequence[LogLine]) -> list[Fold]:
    """Fold updates of one bar that follow each other, in the order of the lines.

    Only lines of one attempt, stream and level with numbers in a row are folded, and fewer than LEAST_FOLDED are not.
    """
    folds: list[Fold] = []
    group: list[LogLine] = []
    before: Bar | None = None
    for line in lines:
        bar = read_bar(split_updates(line.message).last)
        if group and not (bar and before and bar.follows(before) and _is_next(line, group[-1])):
            folds += _folded(group)
            group = []
        before = bar
        if bar is None:
            folds.append(Fold(line, []))
        else:
            group.append(line)
    return folds + _folded(group)


def _is_next(line: LogLine, before: LogLine) -> bool:
    kind, kind_before = (line.attempt, line.stream, line.level), (before.attempt, before.stream, before.level)
    return kind == kind_before and line.number == before.number + 1


def _folded(group: list[LogLine]) -> list[Fold]:
    if len(group) < LEAST_FOLDED:
        return [Fold(line, []) for line in group]
    return [Fold(group[-1], group[:-1])]
