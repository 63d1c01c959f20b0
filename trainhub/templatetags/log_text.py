"""How pages draw the text of log lines."""

from __future__ import annotations

from collections.abc import Iterable

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from runs.ansi import Piece

register = template.Library()


@register.filter
def drawn(pieces: Iterable[Piece]) -> SafeString:
    """Return the pieces of a line with a span for each style and a mark for each match; their texts are escaped."""
    html = SafeString("")
    for piece in pieces:
        text = format_html("<mark>{}</mark>", piece.text) if piece.is_match else piece.text
        html += (
            format_html('<span class="{}">{}</span>', piece.classes, text) if piece.classes else format_html("{}", text)
        )
    return html
