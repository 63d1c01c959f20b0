"""Answers: compact JSON for programs, DRF's browsable page for signed-in people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer


class OrjsonRenderer(BaseRenderer):
    """JSON by orjson: floats that JSON has no number for become null, times end in Z."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:  # noqa: ARG002
        """Return the UTF-8 bytes of `data`; None gives an empty body."""
        if data is None:
            return b""
        return dump_json(data, indent=bool(renderer_context and renderer_context.get("indent")))


class FileNegotiation(DefaultContentNegotiation):
    """For downloads: a file is what it is, whatever form the client would accept; refusals are JSON then."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        """Return the renderer for refusals and its media type."""
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type


class BrowsablePage(BrowsableAPIRenderer):
    """The browsable API: raw JSON forms only, as the parsers take nothing else."""

    def get_default_renderer(self, view: Any) -> BaseRenderer:  # noqa: ARG002 - signature of the base class
        """Show answers as indented JSON."""
        return _IndentedJSON()

    def show_form_for_method(self, view: Any, method: str, request: Any, obj: Any) -> bool:
        """Offer forms to signed-in people only."""
        return bool(request.user.is_authenticated and super().show_form_for_method(view, method, request, obj))

    def get_rendered_html_form(self, data: Any, view: Any, method: str, request: Any) -> Any:  # noqa: ARG002
        """Offer the DELETE and OPTIONS buttons but no HTML form."""
        if method in {"DELETE", "OPTIONS"}:
            return self.show_form_for_method(view, method, request, None)
        return ""

    def get_context(self, data: Any, accepted_media_type: str | None, renderer_context: Any) -> dict[str, Any]:
        """Leave out the inline style of highlighted code, which our Content-Security-Policy refuses."""
        return {**super().get_context(data, accepted_media_type, renderer_context), "code_style": None}

    def get_filter_form(self, data: Any, view: Any, request: Any) -> Any:
        """No filter form: filters are documented at /docs."""


class _IndentedJSON(OrjsonRenderer):
    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        context = {**(renderer_context or {}), "indent": 2}
        return super().render(data, accepted_media_type, context)


def dump_json(data: Any, *, indent: bool = False) -> bytes:
    """Return `data` as UTF-8 JSON.

    Whole numbers beyond 64 bits are written as floats: PostgreSQL keeps 1e20 as the whole number 10^20.
    """
    option = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
    try:
        return orjson.dumps(data, default=_plain, option=option)
    except orjson.JSONEncodeError:
        return orjson.dumps(_within_64_bits(data), default=_plain, option=option)


def _within_64_bits(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _within_64_bits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_within_64_bits(item) for item in value]
    return float(value) if isinstance(value, int) and abs(value) >= 2**63 else value


def api_time(moment: datetime | None) -> str | None:
    """Return `moment` as ISO 8601 in UTC with microseconds and Z; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):  # DRF's ReturnDict
        return dict(value)
    if isinstance(value, list | tuple | set):
        return list(value)
    return str(value)  # lazy texts and ErrorDetail
