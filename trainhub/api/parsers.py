"""Request bodies: JSON alone, strictly."""

from __future__ import annotations

from itertools import chain
from typing import Any

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from trainhub.api.renderers import OrjsonRenderer
from trainhub.errors import MalformedBody, TooLarge

_CONTAINERS = (dict, list)
MAX_DEPTH = 32  # nesting that no honest request needs, far below the interpreter's recursion limit


def parse_json(raw: bytes) -> Any:
    """Return the value in `raw`, UTF-8 JSON as RFC 8259 has it.

    NaN, infinities and lone surrogates are refused by orjson; NUL (which PostgreSQL cannot store) and deep
    nesting here. Raises: MalformedBody (400) with a sentence for people.
    """
    value = load_json(raw)
    if b"\x00" in raw or b"\\u0000" in raw:
        check_json(value)
    elif raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        check_depth(value)
    return value


def load_json(raw: bytes) -> Any:
    """Return the value in `raw`, for callers that check every value themselves. Raises: MalformedBody (400)."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"The body is not valid JSON: {error}.") from None


def check_json(value: Any, depth: int = 0) -> None:
    """Refuse what databases or pages choke on: NUL characters and nesting deeper than MAX_DEPTH."""
    if depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, str):
        if "\x00" in value:
            raise MalformedBody("The body holds a NUL character.")
    elif isinstance(value, dict):
        for key, item in value.items():
            check_json(key, depth + 1)
            check_json(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check_json(item, depth + 1)


def check_depth(value: Any) -> None:
    """Refuse nesting deeper than MAX_DEPTH, level by level: several times faster than a look at each value."""
    items = [value]
    for _ in range(MAX_DEPTH + 1):
        below = [item.values() if type(item) is dict else item for item in items if type(item) in _CONTAINERS]
        items = list(chain.from_iterable(below))
        if not items:
            return
    raise _too_deep()


def _too_deep() -> MalformedBody:
    return MalformedBody(f"The body is nested deeper than {MAX_DEPTH} levels.")


def read_body(stream: Any, declared: str | None, limit: int) -> bytes:
    """Return at most `limit` bytes of the request's body.

    Raises: TooLarge (413) naming the limit, before anything is read where the length is declared.
    """
    too_large = TooLarge(f"The body is larger than {limit} bytes.", limit=limit)
    if declared and declared.isdigit() and int(declared) > limit:
        raise too_large
    try:
        raw: bytes = stream.read(limit + 1)
    except RequestDataTooBig:
        raise too_large from None
    if len(raw) > limit:
        raise too_large
    return raw


class StrictJSONParser(BaseParser):
    """`application/json`, at most DATA_UPLOAD_MAX_MEMORY_SIZE bytes."""

    media_type = "application/json"
    renderer_class = OrjsonRenderer

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:  # noqa: ARG002
        """Return the parsed body; an empty one is an empty object."""
        declared = parser_context["request"].META.get("CONTENT_LENGTH") if parser_context else None
        raw = read_body(stream, declared, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        try:
            return parse_json(raw) if raw.strip() else {}
        except MalformedBody as error:
            raise ParseError(error.detail) from None
