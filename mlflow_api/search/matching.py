"""Clauses carried out in Python, on what rows keep as JSON: names that clients chose become part of no query."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from mlflow_api.search.reading import Clause
from mlflow_api.search.vocabulary import ILIKE, IN, LIKE, NOT_IN

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    IN: lambda shown, values: shown in values,
    NOT_IN: lambda shown, values: shown not in values,
}
Matcher = Callable[[Any], bool]


def matcher(clause: Clause) -> Matcher:
    """Return what tells whether a text or number fulfils a clause, which is none of IS NULL and IS NOT NULL."""
    value: Any = clause.value
    if clause.comparator == LIKE:
        return like(value)
    if clause.comparator == ILIKE:
        is_like = like(value.lower())
        return lambda shown: is_like(shown.lower())
    compare = OPERATORS[clause.comparator]
    return lambda shown: compare(shown, value)


def like(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a text fits a pattern, in which `%` stands for any characters and `_` for one.

    One step for each character of the text, whatever the pattern. Bit n of a state is set when the text so far fits
    the first n characters of the pattern, `%` not counted. Source: Shift-And, Baeza-Yates and Gonnet 1992.
    """
    length = len(pattern) - pattern.count("%")
    stays = anything = 0  # states before a `%` hold whatever comes; those before a `_` go on with any character
    by_character: defaultdict[str, int] = defaultdict(int)
    reached = 1
    for character in pattern:
        if character == "%":
            stays |= reached
            continue
        reached <<= 1
        if character == "_":
            anything |= reached
        else:
            by_character[character] |= reached
    goes_on = {character: places | anything for character, places in by_character.items()}

    def fits(text: str) -> bool:
        state = 1
        for character in text:
            state = (state << 1 & goes_on.get(character, anything)) | (state & stays)
            if not state:
                return False
        return bool(state >> length & 1)

    return fits
