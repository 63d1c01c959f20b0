"""Pages of lists: by number (`page` from 1, `page_size` from 1 to 500, the exact total) or by cursor."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from django.db.models import QuerySet

from trainhub.errors import InvalidInput

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
MAX_PAGE = 10**12  # far beyond any list, and small enough for a 64-bit offset
PAGE_PARAMETERS = frozenset({"page", "page_size"})
CURSOR_PARAMETERS = PAGE_PARAMETERS | {"cursor"}
MAX_CURSOR = 4000  # characters; the longest that is given has about 2,500
MAX_ID = 2**63 - 1

Read = TypeVar("Read")


@dataclass(frozen=True)
class PageRequest:
    """Which page is wanted: `number` from 1, `size` lines or rows."""

    number: int
    size: int

    @property
    def start(self) -> int:
        """Index of the first row, from 0."""
        return (self.number - 1) * self.size


def whole_number(query: Mapping[str, str], name: str, *, default: int, low: int, high: int) -> int:
    """Read an integer from the query string. Raises InvalidInput outside `low` to `high`."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20 and low <= int(text) <= high):
        raise InvalidInput({name: [f"Must be a whole number from {low} to {high}."]})
    return int(text)


def read_page_request(query: Mapping[str, str]) -> PageRequest:
    """Read `page` and `page_size`. Raises InvalidInput."""
    return PageRequest(
        number=whole_number(query, "page", default=1, low=1, high=MAX_PAGE),
        size=whole_number(query, "page_size", default=DEFAULT_PAGE_SIZE, low=1, high=MAX_PAGE_SIZE),
    )


def page_of(rows: QuerySet[Any], wanted: PageRequest, serialize: Callable[[list[Any]], Any]) -> dict[str, Any]:
    """Return the answer for one page of a queryset: page, page_size, total, items."""
    items = list(rows[wanted.start : wanted.start + wanted.size])
    return {
        "page": wanted.number,
        "page_size": wanted.size,
        "total": rows.count(),
        "items": serialize(items),
    }


def read_cursor_size(query: Mapping[str, str]) -> int:
    """Read `page_size` beside a cursor; `page` has no meaning there. Raises InvalidInput."""
    if "page" in query:
        raise InvalidInput({"page": ["Either page or cursor, not both."]})
    return read_page_request(query).size


def encode_cursor(content: list[Any]) -> str:
    """Return plain JSON values as a cursor: base64 for URLs, without padding. It hides nothing."""
    return base64.urlsafe_b64encode(orjson.dumps(content)).rstrip(b"=").decode()


def decode_cursor(text: str, read: Callable[[Any], Read]) -> Read:
    """Return what `read` makes of a cursor's content; anybody can make one up, so `read` checks it.

    Raises: InvalidInput, also for a ValueError or OverflowError of `read`.
    """
    try:
        if len(text) > MAX_CURSOR or not text.isascii():
            raise ValueError("too long, or not base64")
        padded = text + "=" * (-len(text) % 4)
        return read(orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True)))
    except (ValueError, OverflowError, binascii.Error):
        raise InvalidInput(
            {"cursor": ["This is no cursor of this list: take `next` of an answer with the same order."]}
        ) from None
