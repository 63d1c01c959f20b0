"""The parameters of a run as rows that lists can search."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from runs.conditions import MAX_NAME
from runs.recipes import PARAMETER_GROUPS, with_defaults

LOGGED = "params"  # the group of what a tracking client wrote
MAX_ROWS = 1000  # of a group of one run; what comes after is shown but not found

Row = tuple[str, float | None, str | None]


def searchable(values: Mapping[str, Any]) -> list[Row]:
    """Return name, number and text of the parameters that can be searched; of number and text one is None.

    Nested objects are flattened, `{"lora": {"rank": 8}}` to `lora.rank`; true and false become texts. Left out are
    null, lists, numbers that a float cannot hold, names and texts over 250 characters, a second entry that flattens
    to the same name, and all after the first 1,000.
    """
    rows: dict[str, Row] = {}
    for name, value in islice(_leaves("", values), MAX_ROWS):
        rows.setdefault(name, (name, None, value) if isinstance(value, str) else (name, value, None))
    return list(rows.values())


def effective(snapshot: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Row]]:
    """Yield group and row for what the trainer gets: `given` by group, with the defaults of the recipe's snapshot."""
    for group in PARAMETER_GROUPS:
        for row in searchable(with_defaults(snapshot.get(group, {}), given[group])):
            yield group, row


def _leaves(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, float | str]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _leaves(f"{name}.", value)
        elif len(name) <= MAX_NAME:
            leaf = _leaf(value)
            if leaf is not None:
                yield name, leaf


def _leaf(value: Any) -> float | str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    return value if isinstance(value, str) and len(value) <= MAX_NAME else None
