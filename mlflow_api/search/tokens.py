"""Page tokens: the order and the last place of a page, so that rows that come or go meanwhile move no others."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import orjson

from mlflow_api.errors import invalid
from mlflow_api.search.ordering import Ordering, Place

MAX_TOKEN = 500_000  # characters: ten tags of 8,000 characters each
_MAX_UID = 64
_INT64 = range(-(2**63), 2**63)


def write_token(ordering: Ordering, place: Place) -> str:
    """Return the token of the page behind a place."""
    content = [[sort.text for sort in ordering.sorts], place.values, place.uid]
    return base64.urlsafe_b64encode(orjson.dumps(content)).rstrip(b"=").decode()


def read_token(ordering: Ordering, text: str) -> Place:
    """Return the place that a token stands for. Raises: MlflowError (400): malformed, or of another order."""
    try:
        if len(text) > MAX_TOKEN or not text.isascii():
            raise ValueError("too long, or not base64")
        padded = text + "=" * (-len(text) % 4)
        return _place(ordering, orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True)))
    except (ValueError, binascii.Error):
        raise invalid("Invalid page token: it could not be read, or belongs to another order.") from None


def _place(ordering: Ordering, content: Any) -> Place:
    """Check what a token holds: anybody can make one. Raises: ValueError."""
    if not isinstance(content, list) or len(content) != 3 or content[0] != [sort.text for sort in ordering.sorts]:
        raise ValueError("of another order")
    _, values, uid = content
    if not isinstance(values, list) or len(values) != len(ordering.sorts):
        raise ValueError("no place")
    if not _is_text(uid) or len(uid) > _MAX_UID:
        raise ValueError("no uid")
    checked = [_value(value, ordering.is_number(sort)) for value, sort in zip(values, ordering.sorts, strict=True)]
    return Place(tuple(checked), uid)


def _value(content: Any, is_number: bool) -> tuple[int, Any]:  # noqa: FBT001 - private
    if not isinstance(content, list) or len(content) != 2 or type(content[0]) is not int or content[0] not in (0, 1, 2):
        raise ValueError("no rank and value")
    rank, value = content
    if rank:
        return rank, None
    if is_number:
        fits = type(value) is int and value in _INT64
        if not fits and not (type(value) is float and math.isfinite(value)):
            raise ValueError("no number")
    elif not _is_text(value):
        raise ValueError("no text")
    return rank, value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value
