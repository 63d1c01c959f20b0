"""Answers that may be large, built and sent a piece at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from django.http import StreamingHttpResponse

from trainhub.api.renderers import dump_json


def stream_list(
    name: str, pieces: Iterable[Sequence[Any]], others: Mapping[str, Any] | None = None
) -> StreamingHttpResponse:
    """Answer `{name: [all items of all pieces], **others}`, with no more than a piece in memory.

    The first piece is made at once, so that most errors are still answered as errors. One that comes later breaks the
    connection: nobody takes a part for the whole.
    """
    rest = (dump_json(piece)[1:-1] for piece in pieces)
    written = chain([next(rest, b"")], rest)
    return StreamingHttpResponse(_written(name, written, others or {}), content_type="application/json")


def _written(name: str, pieces: Iterable[bytes], others: Mapping[str, Any]) -> Iterator[bytes]:
    separator = b""
    yield b"{" + dump_json(name) + b":["
    for piece in filter(None, pieces):
        yield separator + piece
        separator = b","
    yield b"]" + (b"," + dump_json(others)[1:] if others else b"}")
