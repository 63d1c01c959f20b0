"""Looking for words or a regular expression in the text of log lines, in bounded steps from a cursor.

Regular expressions are RE2's (https://github.com/google/re2/wiki/Syntax): matching takes time linear in the text
whatever the pattern, so that no pattern can hold up the hub. What RE2 leaves out (look-around, back-references) is
refused when the pattern is compiled.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import orjson
import re2

from runs.telemetry.log_blocks import LogLine, Matcher, read_blocks
from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_ranges import count_lines, find_spans
from runs.telemetry.removed import all_or_nothing, has_log

MAX_PATTERN_CHARACTERS = 200
_MAX_PATTERN_MEMORY = 1 << 20  # bytes that RE2 may take for one compiled pattern
_MAX_PLACES = 100  # of matches in one line that are marked

Place: TypeAlias = tuple[int, int]  # begin and end of a match in a text, in characters


class PatternError(ValueError):
    """The regular expression cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Words:
    """Texts that contain some words, whatever their case."""

    words: str
    plain: bytes | None  # how they stand in the JSON of a chunk in lower case, where that is one text alone

    @classmethod
    def of(cls, text: str) -> Words:
        """Look for `text`, at least one character."""
        words = text.casefold()
        escaped = orjson.dumps(words)[1:-1]
        return cls(words, escaped if words.isascii() and len(escaped) == len(words) else None)

    def may_be_in(self, document: bytes) -> bool:
        """Tell whether the words stand somewhere in the document."""
        return self.plain is None or not document.isascii() or self.plain in document.lower()

    def matches(self, text: str) -> bool:
        """Tell whether the words are in the text."""
        return self.words in text.casefold()

    def places(self, text: str) -> list[Place]:
        """Return where the words stand in the text."""
        return _places(_words(self.words, is_exact=False), text)


@dataclass(frozen=True, slots=True)
class ExactWords:
    """Texts that contain some words as they are written."""

    text: str
    anyhow: Words

    @classmethod
    def of(cls, text: str) -> ExactWords:
        """Look for `text`, at least one character."""
        return cls(text, Words.of(text))

    def may_be_in(self, document: bytes) -> bool:
        """Tell whether the words stand somewhere in the document."""
        return self.anyhow.may_be_in(document)

    def matches(self, text: str) -> bool:
        """Tell whether the words are in the text."""
        return self.text in text

    def places(self, text: str) -> list[Place]:
        """Return where the words stand in the text."""
        return _places(_words(self.text, is_exact=True), text)


class Regex:
    """Texts in which a regular expression finds something."""

    def __init__(self, pattern: str, *, ignore_case: bool) -> None:
        """Compile the pattern. Raises: PatternError."""
        options = re2.Options()
        options.case_sensitive = not ignore_case
        options.max_mem = _MAX_PATTERN_MEMORY
        options.log_errors = False
        try:
            self._pattern = re2.compile(pattern, options=options)
        except re2.error as error:
            raise PatternError(_reason(error)) from None

    def may_be_in(self, document: bytes) -> bool:  # noqa: ARG002 - the JSON's own signs say nothing of the texts
        """Tell nothing: every text is looked at."""
        return True

    def matches(self, text: str) -> bool:
        """Tell whether the pattern is found in the text."""
        return self._pattern.search(text) is not None

    def places(self, text: str) -> list[Place]:
        """Return where the pattern is found in the text."""
        return _places(self, text)

    def finds(self, text: str) -> Iterator[Place]:
        """Yield begin and end of what the pattern finds, also where that is nothing at all."""
        return (found.span() for found in self._pattern.finditer(text))


@functools.lru_cache(maxsize=64)
def _words(text: str, *, is_exact: bool) -> Regex:
    return Regex(re2.escape(text), ignore_case=not is_exact)


def _places(pattern: Regex, text: str) -> list[Place]:
    return list(itertools.islice((place for place in pattern.finds(text) if place[0] < place[1]), _MAX_PLACES))


Finder: TypeAlias = Words | ExactWords | Regex


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What one step found.

    `items` are the matches in line order; `next` is the line to go on with, None at the end of the log. `searched` of
    `total` lines are behind us: 0 to `next` without regard to filters.
    """

    items: list[LogLine]
    next: int | None
    searched: int
    total: int


@all_or_nothing(has_log, lambda **_: SearchResult([], None, 0, 0))
def search_lines(
    *, run_id: int, wanted: LineFilter, matcher: Matcher | None, after: int, limit: int, seconds: float
) -> SearchResult:
    """Look for matches from line `after` on until there are `limit` of them or `seconds` have passed.

    At least one chunk of lines is looked at, so that every step gets on.

    Args:
        run_id: the run.
        wanted: look only at lines of these times and kinds.
        matcher: what to look for; None takes every line.
        after: the cursor: 0 at first, then the `next` of the step before.
        limit: matches wanted, at least 1.
        seconds: time for looking; one chunk's work more may be used.
    """
    deadline = time.monotonic() + seconds
    total = count_lines(run_id)
    items: list[LogLine] = []
    for block in read_blocks(run_id, find_spans(run_id, wanted.times), wanted, matcher, start=after):
        items += block.lines
        if len(items) > limit:
            cursor = items[limit].number
            return SearchResult(items[:limit], cursor, cursor, max(total, cursor))
        if time.monotonic() > deadline and block.next < total:
            return SearchResult(items, block.next, block.next, total)
    return SearchResult(items, None, total, total)
