"""When two JSON values are the same."""

from __future__ import annotations

from typing import Any


def comparable(value: Any) -> Any:
    """Return what is equal exactly when two JSON values are: true is not 1, 1 is 1.0, the order of keys is nothing."""
    if isinstance(value, bool):
        return ("flag", value)
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(item) for item in value]
    return value


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same; what is no JSON, such as a mark for no value, is only with itself."""
    return bool(comparable(one) == comparable(other))
