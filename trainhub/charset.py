"""Requests are UTF-8: another charset that a header names would let text in that no other check expects."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from trainhub.error_pages import bad_request

UTF_8 = {"utf-8", "utf8"}


class CharsetMiddleware:
    """Answers 400 to a request whose Content-Type names a charset other than UTF-8, such as UTF-7 with surrogates."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Refuse, or pass the request on."""
        charset = (request.content_params or {}).get("charset", "utf-8")
        return self.get_response(request) if charset.strip().lower() in UTF_8 else bad_request(request, None)
