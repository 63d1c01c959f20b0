"""Conditions of run lists on newest metrics, parameters and tags: `metrics.loss < 1.2 and params.optim = 'adamw'`.

    conditions := condition { "and" condition }
    condition  := group "." name operator value
    group      := "metrics" | "hyperparameters" | "model_parameters" | "params" | "tags"
    name       := letters, digits and _ . / - | "…" | `…`        (a doubled quote stands for one)
    operator   := "=" | "!=" | "<" | "<=" | ">" | ">="
    value      := number | "true" | "false" | "…" | '…'

Nothing is evaluated: a condition becomes a value object, and its name and value reach the database as parameters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

METRICS = "metrics"
PARAMETER_ORIGINS = ("hyperparameters", "model_parameters", "params")  # the last is what a tracking client logged
TAGS = "tags"
MAX_CONDITIONS = 10
MAX_LENGTH = 2000  # characters of one text of conditions
MAX_NAME = 250  # characters, as the tables have them; also of a text to compare with

_SPACE = re.compile(r"\s*")
_GROUP = re.compile(r"(metrics|hyperparameters|model_parameters|params|tags)\.")
_NAME = re.compile(r"[\w./-]+")
_QUOTED_NAME = re.compile(r'"(?:[^"]|"")*"|`(?:[^`]|``)*`')
_OPERATOR = re.compile(r"<=|>=|!=|=|<|>")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.])")
_FLAG = re.compile(r"(?:true|false)(?!\w)", re.IGNORECASE)
_QUOTED_TEXT = re.compile(r""""(?:[^"]|"")*"|'(?:[^']|'')*'""")
_AND = re.compile(r"and(?!\w)", re.IGNORECASE)


class InvalidCondition(ValueError):
    """A text that is no condition; the message says where and what was expected."""


@dataclass(frozen=True)
class Place:
    """What is compared or ordered by: `group` is METRICS, TAGS or one of PARAMETER_ORIGINS, `name` any text."""

    group: str
    name: str

    @property
    def text(self) -> str:
        """The place as `parse_place` takes it."""
        quoted = self.name.replace('"', '""')
        return f"{self.group}.{self.name}" if _NAME.fullmatch(self.name) else f'{self.group}."{quoted}"'


@dataclass(frozen=True)
class Condition:
    """A comparison. `value` is a finite number or a text; true and false are the texts "true" and "false"."""

    place: Place
    operator: str
    value: float | str


def parse_conditions(texts: Iterable[str]) -> tuple[Condition, ...]:
    """Return the conditions of all `texts`, which all must hold. Raises: InvalidCondition."""
    found: list[Condition] = []
    for text in texts:
        found += _Reader(text).conditions()
    if len(found) > MAX_CONDITIONS:
        raise InvalidCondition(f"At most {MAX_CONDITIONS} conditions are taken.")
    return tuple(found)


def parse_place(text: str) -> Place:
    """Return what `text` names, such as `metrics.loss`. Raises: InvalidCondition."""
    reader = _Reader(text)
    place = reader.place()
    if not reader.is_at_end():
        raise reader.refusal("the end")
    return place


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise InvalidCondition(f"At most {MAX_LENGTH} characters are taken.")
        if "\0" in text:
            raise InvalidCondition("Null characters are not allowed.")
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise InvalidCondition("Half of a pair of surrogates is no character.")
        self._text = text
        self._at = 0
        self._take(_SPACE)

    def conditions(self) -> list[Condition]:
        """Read to the end; nothing but space is no condition."""
        found: list[Condition] = []
        while not self.is_at_end():
            if found and not self._take(_AND):
                raise self.refusal("“and” or the end")
            found.append(self._condition())
        return found

    def is_at_end(self) -> bool:
        return self._at == len(self._text)

    def place(self) -> Place:
        group = self._take(_GROUP, is_spaced=False)
        if not group:
            raise self.refusal("metrics., hyperparameters., model_parameters., params. or tags.")
        quoted = self._take(_QUOTED_NAME)
        name = _unquoted(quoted) if quoted else self._take(_NAME)
        if not name:
            raise self.refusal("a name, in double quotes when it has other characters than letters, digits and _ . / -")
        return Place(group.removesuffix("."), self._bounded(name))

    def refusal(self, expected: str) -> InvalidCondition:
        """Return the error for what stands at the place reached."""
        rest = self._text[self._at : self._at + 20]
        found = f"“{rest}”" if rest else "the end"
        return InvalidCondition(f"At character {self._at + 1}: expected {expected}, found {found}.")

    def _condition(self) -> Condition:
        place = self.place()
        operator = self._take(_OPERATOR)
        if not operator:
            raise self.refusal("one of = != < <= > >=")
        if place.group == TAGS and operator not in {"=", "!="}:
            raise InvalidCondition(f"Tags are texts: compare {place.text} by = or !=.")
        start = self._at
        value = self._value()
        if isinstance(value, str) and (place.group == METRICS or operator not in {"=", "!="}):
            self._at = start
            raise self.refusal("a number")
        if isinstance(value, float) and place.group == TAGS:
            self._at = start
            raise self.refusal("a text in quotes")
        return Condition(place, operator, value)

    def _value(self) -> float | str:
        start = self._at
        if number := self._take(_NUMBER):
            value = float(number)
            if not math.isfinite(value):
                self._at = start
                raise self.refusal("a number of 64 bits")
            return value
        if flag := self._take(_FLAG):
            return flag.lower()
        if text := self._take(_QUOTED_TEXT):
            return self._bounded(_unquoted(text))
        raise self.refusal("a number, true, false or a text in quotes")

    def _take(self, pattern: re.Pattern[str], *, is_spaced: bool = True) -> str:
        """Return what `pattern` matches here, else "", and go on behind it and the space after it."""
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        if is_spaced and pattern is not _SPACE:
            self._take(_SPACE)
        return match.group()

    def _bounded(self, text: str) -> str:
        if len(text) > MAX_NAME:
            raise InvalidCondition(f"Names and texts have at most {MAX_NAME} characters.")
        return text


def _unquoted(text: str) -> str:
    quote = text[0]
    return text[1:-1].replace(quote * 2, quote)
