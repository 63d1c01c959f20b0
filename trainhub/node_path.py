"""A short way to what runners and tracking clients call: no session, no CSRF, no headers for browsers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, get_resolver

from trainhub.api.errors import answer_for
from trainhub.headers import keep_private

PREFIXES = ("/node/", "/mlflow/api/", "/mlflow/ajax-api/", "/mlflow/get-artifact")


@functools.lru_cache(maxsize=256)  # ingest calls come to the same few paths; one that is unknown is not kept
def _resolve(path: str) -> ResolverMatch:
    return get_resolver().resolve(path)


def _answer(view: Callable[..., HttpResponse], request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
    try:
        return view(request, *arguments, **named)
    except Exception as error:
        if (answer := answer_for(error)) is None:
            raise
        return answer


class NodePathMiddleware:
    """Calls the view of a path below PREFIXES past all middleware that comes after this one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer for a program, or pass the request on."""
        if not request.path_info.startswith(PREFIXES):
            return self.get_response(request)
        try:
            view, arguments, named = _resolve(request.path_info)
        except Resolver404:
            return self.get_response(request)
        response = _answer(view, request, *arguments, **named)
        keep_private(response)
        if not response.streaming:
            response.headers["Content-Length"] = str(len(response.content))
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response
