"""The orders of a run list, and where a page of one goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runs.conditions import METRICS, InvalidCondition, parse_place
from runs.epoch import EPOCH
from trainhub.api.paging import MAX_ID, decode_cursor, encode_cursor

COLUMNS = ("created_at", "completed_at", "name", "progress", "priority")
NULLABLE = frozenset({"completed_at"})  # of COLUMNS


@dataclass(frozen=True)
class Order:
    """By a column of COLUMNS, or by the newest value of a metric; then `column` is empty.

    Runs without a value come last either way.
    """

    column: str = "created_at"
    metric: str = ""
    is_descending: bool = True

    @property
    def text(self) -> str:
        """The order as a cursor names it."""
        return ("-" if self.is_descending else "") + (self.column or f"{METRICS}.{self.metric}")


NEWEST_FIRST = Order()


@dataclass(frozen=True)
class Position:
    """The last run of a page: its value in the order, None where it has none, and its key."""

    value: Any
    run_id: int


def parse_order(text: str) -> Order:
    """Return the order that `text` names: a column or metrics.<name>, a leading - for descending.

    Raises: InvalidCondition.
    """
    name, is_descending = text.removeprefix("-"), text.startswith("-")
    if name in COLUMNS:
        return Order(name, is_descending=is_descending)
    try:
        place = parse_place(name)
    except InvalidCondition:
        place = None
    if place is None or place.group != METRICS:
        raise InvalidCondition(
            f"Must be {', '.join(COLUMNS)} or metrics.<name>, with a leading - for descending; "
            'a name with other characters than letters, digits and _ . / - in double quotes: metrics."a b".'
        )
    return Order("", place.name, is_descending)


def write_cursor(order: Order, position: Position) -> str:
    """Return the cursor behind `position`."""
    value = position.value
    if isinstance(value, datetime):
        value = (value - EPOCH) // timedelta(microseconds=1)
    return encode_cursor([order.text, value, position.run_id])


def read_cursor(order: Order, text: str) -> Position:
    """Return the position that a cursor stands for. Raises: InvalidInput (malformed, or of another order)."""
    return decode_cursor(text, lambda content: _position(order, content))


def _position(order: Order, content: Any) -> Position:
    """Check what a cursor holds: anybody can make one. Raises: ValueError, OverflowError."""
    if not isinstance(content, list) or len(content) != 3:
        raise ValueError("not a position")
    named, value, run_id = content
    if named != order.text or type(run_id) is not int or not 0 < run_id <= MAX_ID:
        raise ValueError("of another order, or no key")
    if value is None and (order.metric or order.column in NULLABLE):
        return Position(None, run_id)
    return Position(_READERS[order.column](value), run_id)


def _time(value: Any) -> datetime:
    if type(value) is not int:
        raise ValueError("not a time")
    return EPOCH + timedelta(microseconds=value)


def _number(value: Any) -> float:
    if type(value) not in {int, float} or not math.isfinite(value):
        raise ValueError("not a number")
    return float(value)


def _priority(value: Any) -> int:
    if type(value) is not int or not -100 <= value <= 100:
        raise ValueError("not a priority")
    return value


def _name(value: Any) -> str:
    if type(value) is not str or "\0" in value:
        raise ValueError("not a name")
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "created_at": _time,
    "completed_at": _time,
    "name": _name,
    "progress": _number,
    "priority": _priority,
    "": _number,
}
