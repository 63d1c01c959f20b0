"""JSON as tables: nested keys as paths, lists of records as rows. All of it is bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from artifacts.previews.text import clean
from trainhub.templatetags.formatting import short_number

MAX_BYTES = 1_000_000  # of a file that is read as JSON
MAX_DEPTH = 8  # of keys in a path; what lies deeper is shown as JSON
MAX_FACTS = 300
MAX_TABLES = 8
MAX_ROWS = 100
MAX_COLUMNS = 12
MAX_CHARACTERS = 2000  # of one value


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value as text: short, and `exact` where that says more. `is_cut` when the value goes on."""

    text: str
    exact: str = ""
    is_number: bool = False
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Records:
    """A list of objects: the path where it lies, names of columns, and rows with a leaf or None for each."""

    path: str
    columns: list[str]
    rows: list[list[Leaf | None]]
    count: int
    column_count: int

    @property
    def is_cut(self) -> bool:
        """Whether rows or columns were left out."""
        return self.count > len(self.rows) or self.column_count > len(self.columns)


@dataclass(slots=True)
class JsonTable:
    """Single values by path, and lists of records. `left_out` counts what there was no room for."""

    facts: list[tuple[str, Leaf]] = field(default_factory=list)
    records: list[Records] = field(default_factory=list)
    left_out: int = 0


def parse_json(content: bytes) -> Any:
    """Return what JSON says, also with NaN, as training programs write it.

    Raises: ValueError when it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def make_table(value: Any) -> JsonTable:
    """Lay a JSON value out as tables."""
    table = JsonTable()
    for path, found in walk(value):
        if _is_records(found):
            if len(table.records) < MAX_TABLES:
                table.records.append(_make_records(path, found))
            else:
                table.left_out += 1
        elif len(table.facts) < MAX_FACTS:
            table.facts.append((path, make_leaf(found)))
        else:
            table.left_out += 1
    return table


def walk(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield path and value of everything in nested objects that is no object itself, or lies too deep."""
    if not isinstance(value, dict) or not value or depth == MAX_DEPTH:
        yield path, value
        return
    for key, inner in value.items():
        name = clean(str(key))[:200]
        yield from walk(inner, f"{path}.{name}" if path else name, depth + 1)


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _make_records(path: str, rows: list[dict[str, Any]]) -> Records:
    shown = [dict(walk(row, depth=MAX_DEPTH - 2)) for row in rows[:MAX_ROWS]]
    names = list(dict.fromkeys(name for row in shown for name in row))
    columns = names[:MAX_COLUMNS]
    leaves = [[make_leaf(row[name]) if name in row else None for name in columns] for row in shown]
    return Records(path, columns, leaves, len(rows), len(names))


def make_leaf(value: Any) -> Leaf:
    """Return a value as text; numbers with five digits, and the exact one beside."""
    if isinstance(value, bool) or value is None:
        return Leaf(json.dumps(value))
    if isinstance(value, int | float):
        exact = repr(value)
        short = short_number(value) if isinstance(value, float) else exact
        return Leaf(short[:MAX_CHARACTERS], "" if exact == short else exact, is_number=True)
    text = clean(value if isinstance(value, str) else dump(value))
    return Leaf(text[:MAX_CHARACTERS], is_cut=len(text) > MAX_CHARACTERS)


def dump(value: Any) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)
