"""Endpoints that runners call: plain views, as little as possible between socket and commit."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from runs.attempts import token_digest
from runs.models import Attempt
from trainhub.access import Access, access
from trainhub.api.errors import json_error
from trainhub.api.parsers import parse_json, read_body
from trainhub.api.renderers import dump_json
from trainhub.error_pages import wrong_method
from trainhub.errors import DomainError

_BEARER = re.compile(r"[Bb]earer ([0-9a-f]{64})")


class UnknownToken(DomainError):
    """The attempt's token is missing or not known."""

    status = 401
    code = "unknown_token"


def attempt_of(request: HttpRequest) -> Attempt:
    """Return the attempt whose token the request carries, with its run. Raises: UnknownToken."""
    found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    digest = token_digest(found.group(1)) if found else ""
    attempt = Attempt.objects.select_related("run").filter(token_digest=digest).first() if found else None
    if attempt is None:
        raise UnknownToken("The attempt's token is missing or not known.")
    return attempt


def body_of(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON object of the body. Raises: TooLarge (413), MalformedBody or DomainError (400)."""
    raw = read_body(request, request.headers.get("Content-Length"), settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    body = parse_json(raw or b"{}")
    if not isinstance(body, dict):
        raise DomainError("The body must be a JSON object.")
    return body


def node_endpoint(
    method: str,
) -> Callable[[Callable[..., dict[str, Any] | HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Make a view of a function (attempt, request, …) → answer: token, method and errors are dealt with here."""

    def decorate(handle: Callable[..., dict[str, Any] | HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @functools.wraps(handle)
        def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method != method:
                return wrong_method(method)
            try:
                answer = handle(attempt_of(request), request, *args, **kwargs)
            except DomainError as error:
                return json_error(error)
            if isinstance(answer, HttpResponseBase):
                return answer
            return HttpResponse(dump_json(answer), content_type="application/json")

        return access(Access.ATTEMPT)(csrf_exempt(view))

    return decorate
