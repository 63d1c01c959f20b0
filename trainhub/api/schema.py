"""Pieces of the OpenAPI document that many views share."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers


class ErrorSerializer(serializers.Serializer[Any]):
    """An error: a sentence and a stable code."""

    detail = serializers.CharField(required=False)
    code = serializers.CharField()


_MEANINGS = {
    400: "The input was refused; nothing was stored.",
    401: "No valid token or session.",
    403: "The caller's role does not allow this.",
    404: "There is no such object, or the caller may not see it.",
    409: "The object's state does not allow this.",
    410: "It was here and was removed for good; `removed_at` says when.",
    413: "The body or batch is too large; `limit` says what is taken.",
    503: "The hub is busy, or its database is away; try again after Retry-After seconds.",
}


def errors(*codes: int) -> dict[int, OpenApiResponse]:
    """Return the error answers for `extend_schema`."""
    return {code: OpenApiResponse(ErrorSerializer, description=_MEANINGS[code]) for code in codes}


IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same key and body give the first answer again; another body is a 409.",
)
PREFER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description="`wait=N` seconds at most: for a new run to start, a cancelled one to end (RFC 7240).",
)
PAGING = [
    OpenApiParameter("page", int, description="From 1.", default=1),
    OpenApiParameter("page_size", int, description="1 to 500.", default=50),
]
CURSOR = OpenApiParameter(
    "cursor",
    str,
    description="`next` of the answer before, or empty for the beginning: pages without `page` and `total`.",
)


def page_schema(name: str, item: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """Describe a page of `item`: page, page_size, total, items."""
    fields = {
        "page": serializers.IntegerField(),
        "page_size": serializers.IntegerField(),
        "total": serializers.IntegerField(),
        "items": item(many=True),
    }
    return inline_serializer(name, fields)


def list_schema(name: str, item: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """Describe a page of `item` by number (page, page_size, total, items) or by cursor (page_size, next, items)."""
    fields: dict[str, Any] = {
        "page": serializers.IntegerField(required=False, help_text="Not with a cursor."),
        "page_size": serializers.IntegerField(),
        "total": serializers.IntegerField(required=False, help_text="Not with a cursor."),
        "next": serializers.CharField(
            required=False, allow_null=True, help_text="With a cursor: the next one; null at the end."
        ),
        "items": item(many=True),
    }
    return inline_serializer(name, fields)
