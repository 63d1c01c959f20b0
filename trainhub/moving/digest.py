"""What the rows of a table amount to, the same for the same rows in every kind of database."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any

from django.db.models import Field

Row = tuple[Any, ...]
_WRITTEN_OUT = 1e16  # floats from here on are written with an exponent, and PostgreSQL's JSON makes them integers


class Digest:
    """Counts rows and adds up their SHA-256, so that the order in which a database gives them does not matter."""

    def __init__(self, fields: Sequence[Field[Any, Any]]) -> None:
        self.rows, self._sum = 0, 0
        self._plain = [_PLAIN.get(field.get_internal_type(), _as_it_is) for field in fields]

    def add(self, row: Row) -> None:
        """Take one row in: a value for each field, as the ORM gives it."""
        plain = tuple(None if value is None else make(value) for make, value in zip(self._plain, row, strict=True))
        self.rows += 1
        self._sum += int.from_bytes(hashlib.sha256(repr(plain).encode()).digest())

    def __str__(self) -> str:
        return f"{self._sum % 2**256:064x}"


def _as_it_is(value: Any) -> Any:
    return value


def _plain_json(value: Any) -> Any:
    """Return a JSON value with each number in the one form that both databases give it."""
    if isinstance(value, dict):
        return {key: _plain_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_json(item) for item in value]
    if isinstance(value, float):
        is_written_out = math.isfinite(value) and abs(value) >= _WRITTEN_OUT
        return int(Decimal(repr(value))) if is_written_out else value + 0.0  # -0.0 becomes 0.0
    return value


# What a value of a kind of field is hashed as. Texts, integers and booleans are hashed as they are.
_PLAIN: dict[str, Callable[[Any], Any]] = {
    "BinaryField": lambda value: hashlib.sha256(value).digest(),
    "DateTimeField": lambda value: value.astimezone(UTC).isoformat(),
    "FloatField": lambda value: value + 0.0,  # SQLite keeps no -0.0
    "JSONField": lambda value: json.dumps(_plain_json(value), sort_keys=True),
}
