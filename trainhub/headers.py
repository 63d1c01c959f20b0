"""Response headers that every answer of ours carries."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase


class PrivateAnswersMiddleware:
    """Keeps answers out of shared caches and other sites' pages; static files pass WhiteNoise before this."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Add the headers."""
        response = self.get_response(request)
        keep_private(response)
        return response


def keep_private(response: HttpResponseBase) -> None:
    """Add the headers to a response that does not have them."""
    response.headers.setdefault("Cache-Control", "no-store, private")
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
