"""Reads filters: `metrics.loss < 1.2 AND tags."team" = 'nlp'`.

    filter     := [ clause { AND clause } ]
    clause     := ident comparator value | ident [NOT] IN ( text { , text } [ , ] ) | ident IS [NOT] NULL
    ident      := [ entity . ] key                     (without an entity it is an attribute)
    key        := letters, digits, _ and . | `…` | "…"
    value      := text | number
    text       := '…' | "…"                            (a doubled quote stands for one; a backslash is a backslash)

AND, IN, IS, NOT, NULL, LIKE and ILIKE in any case. Nothing is evaluated: a clause becomes a value object, and its key
and value reach the database as parameters.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

from mlflow_api.errors import MlflowError, invalid
from mlflow_api.search.vocabulary import ENTITIES, IN, IS_NOT_NULL, IS_NULL, NOT_IN, Entity, Ident, Vocabulary

MAX_FILTER = 100_000  # characters: some 2,000 run ids
MAX_CLAUSES = 50
MAX_LISTED = 5000  # texts of one IN
MAX_VALUE = 10_000  # characters of one text; tags and parameters have fewer
MAX_KEY = 250

Value: TypeAlias = int | float | str | tuple[str, ...] | None

_SPACE = re.compile(r"\s*")
_ENTITY = re.compile(r"(\w+)\.")
_WORD = re.compile(r"[\w.]+")
_QUOTED_KEY = re.compile(r'"(?:[^"]|"")*"|`(?:[^`]|``)*`')
_SIGNS = re.compile(r"<=|>=|!=|=|<|>")
_NAMED = re.compile(r"(?:NOT\s+IN|IN|IS\s+NOT\s+NULL|IS\s+NULL|LIKE|ILIKE)(?!\w)", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.])")
_TEXT = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
_AND = re.compile(r"AND(?!\w)", re.IGNORECASE)
_DIRECTION = re.compile(r"(?:ASC|DESC)(?!\w)", re.IGNORECASE)
_OPEN, _CLOSE, _COMMA = re.compile(r"\("), re.compile(r"\)"), re.compile(",")


@dataclass(frozen=True)
class Clause:
    """A comparison. `value` is a finite number, a text, texts for IN, None for IS NULL."""

    ident: Ident
    comparator: str
    value: Value


def read_filter(text: str, vocabulary: Vocabulary) -> list[Clause]:
    """Return the clauses of a filter, all of which must hold; none of an empty one. Raises: MlflowError (400)."""
    reader = _Reader(text, vocabulary)
    found: list[Clause] = []
    while not reader.is_at_end():
        if found and not reader.take(_AND):
            raise reader.refusal("AND or the end")
        if len(found) == MAX_CLAUSES:
            raise invalid(f"Invalid filter: at most {MAX_CLAUSES} comparisons are taken.")
        found.append(reader.clause())
    return found


def read_order(text: str, vocabulary: Vocabulary) -> tuple[Ident, bool]:
    """Return what `ident [ASC|DESC]` names, and whether it is descending. Raises: MlflowError (400)."""
    reader = _Reader(text, vocabulary)
    ident = reader.ordered()
    is_descending = reader.take(_DIRECTION).upper() == "DESC"
    if not reader.is_at_end():
        raise reader.refusal("ASC, DESC or the end")
    return ident, is_descending


def read_name(text: str, vocabulary: Vocabulary) -> Ident:
    """Return what an `ident` alone names, to order by. Raises: MlflowError (400)."""
    reader = _Reader(text, vocabulary)
    ident = reader.ordered()
    if not reader.is_at_end():
        raise reader.refusal("the end")
    return ident


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        if len(text) > MAX_FILTER:
            raise invalid(f"Invalid filter: at most {MAX_FILTER} characters are taken.")
        self._text, self._vocabulary = text, vocabulary
        self._at = 0
        self.take(_SPACE)

    def is_at_end(self) -> bool:
        return self._at == len(self._text)

    def clause(self) -> Clause:
        ident = self.ident()
        comparator = self.take(_SIGNS) or " ".join(self.take(_NAMED).upper().split())
        if not comparator:
            raise self.refusal("a comparator")
        if comparator not in self._vocabulary.comparators_of(ident):
            raise self._vocabulary.refusal(ident, comparator)
        return Clause(ident, comparator, self._value(ident, comparator))

    def ident(self) -> Ident:
        entity = Entity.ATTRIBUTE
        if named := self.take(_ENTITY, is_spaced=False):
            word = named.removesuffix(".")
            if word not in ENTITIES:
                raise invalid(f"Invalid entity type '{word[:50]}'. Known are: {', '.join(ENTITIES)}.")
            entity = ENTITIES[word]
        quoted = self.take(_QUOTED_KEY)
        key = _unquoted(quoted) if quoted else self.take(_WORD)
        if not 0 < len(key) <= MAX_KEY:
            raise self.refusal(
                f"a key of at most {MAX_KEY} characters, in back-ticks or double quotes when it has other ones than "
                "letters, digits, _ and ."
            )
        return self._vocabulary.ident(entity, key)

    def ordered(self) -> Ident:
        ident = self.ident()
        if ident.entity in self._vocabulary.unordered:
            raise invalid(f"Invalid order_by: {ident.entity}s are nothing to order by.")
        return ident

    def _value(self, ident: Ident, comparator: str) -> Value:
        if comparator in {IS_NULL, IS_NOT_NULL}:
            return None
        if comparator in {IN, NOT_IN}:
            return self._texts()
        return self._number() if self._vocabulary.is_number(ident) else self._quoted()

    def _number(self) -> int | float:
        start, found = self._at, self.take(_NUMBER)
        number = int(found) if found.lstrip("+-").isdigit() and len(found) <= 20 else float(found or "nan")
        if not math.isfinite(number):
            self._at = start
            raise self.refusal("a number of 64 bits, without quotes")
        return number

    def _quoted(self) -> str:
        quoted = self.take(_TEXT)
        if not quoted:
            raise self.refusal("a text in quotes")
        text = _unquoted(quoted)
        if len(text) > MAX_VALUE:
            raise invalid(f"Invalid filter: a text has at most {MAX_VALUE} characters.")
        return text

    def _texts(self) -> tuple[str, ...]:
        if not self.take(_OPEN):
            raise self.refusal("a list of texts in parentheses")
        texts = [self._quoted()]
        while self.take(_COMMA) and not self._is_before(_CLOSE):  # Python writes ('a',)
            if len(texts) == MAX_LISTED:
                raise invalid(f"Invalid filter: a list has at most {MAX_LISTED} texts.")
            texts.append(self._quoted())
        if not self.take(_CLOSE):
            raise self.refusal("a comma or a closing parenthesis")
        return tuple(texts)

    def _is_before(self, pattern: re.Pattern[str]) -> bool:
        return pattern.match(self._text, self._at) is not None

    def take(self, pattern: re.Pattern[str], *, is_spaced: bool = True) -> str:
        """Return what `pattern` matches here, else "", and go on behind it and the space after it."""
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        if is_spaced and pattern is not _SPACE:
            self.take(_SPACE)
        return match.group()

    def refusal(self, expected: str) -> MlflowError:
        """Return the error for what stands at the place reached."""
        rest = self._text[self._at : self._at + 20]
        found = f"'{rest}'" if rest else "the end"
        place = f"Invalid clause(s) in filter or order: at character {self._at + 1}"
        return invalid(f"{place} expected {expected}, not {found}.")


def _unquoted(text: str) -> str:
    quote = text[0]
    return text[1:-1].replace(quote * 2, quote)
