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
from runs.telemetry.append import KnownSender
from trainhub.access import Access, access
from trainhub.api.errors import json_error
from trainhub.api.parsers import load_json, parse_json, read_body
from trainhub.api.renderers import dump_json
from trainhub.error_pages import wrong_method
from trainhub.errors import DomainError

_BEARER = re.compile(r"[Bb]earer ([0-9a-f]{64})")
_UNKNOWN = "The attempt's token is missing or not known."


class UnknownToken(DomainError):
    """The attempt's token is missing or not known."""

    status = 401
    code = "unknown_token"


def attempt_of(request: HttpRequest) -> Attempt:
    """Return the attempt whose token the request carries, with its run. Raises: UnknownToken."""
    attempt = Attempt.objects.select_related("run").filter(token_digest=_digest_of(request)).first()
    if attempt is None:
        raise UnknownToken(_UNKNOWN)
    return attempt


def sender_of(request: HttpRequest) -> KnownSender:
    """Return the ids of the attempt whose token the request carries, mostly without a query. Raises: UnknownToken.

    Whether the attempt may still write is not part of it: every append looks that up.
    """
    return _find_sender(_digest_of(request))


@functools.lru_cache(maxsize=4096)  # ids never change and tokens are random; an unknown token raises and is not kept
def _find_sender(digest: str) -> KnownSender:
    row = Attempt.objects.filter(token_digest=digest).values_list("pk", "run_id", "number").first()
    if row is None:
        raise UnknownToken(_UNKNOWN)
    return KnownSender(*row)


def _digest_of(request: HttpRequest) -> str:
    found = _BEARER.fullmatch(request.META.get("HTTP_AUTHORIZATION", ""))
    if not found:
        raise UnknownToken(_UNKNOWN)
    return token_digest(found.group(1))


def body_of(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON object of the body. Raises: TooLarge (413), MalformedBody or DomainError (400)."""
    return _object_in(request, parse_json)


def batch_of(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON object of an ingest call, whose every value `runs.node.batches` checks. Raises: as `body_of`."""
    return _object_in(request, load_json)


def _object_in(request: HttpRequest, parse: Callable[[bytes], Any]) -> dict[str, Any]:
    raw = read_body(request, request.META.get("CONTENT_LENGTH"), settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    body = parse(raw or b"{}")
    if not isinstance(body, dict):
        raise DomainError("The body must be a JSON object.")
    return body


Answer = dict[str, Any] | HttpResponseBase


def node_endpoint(method: str) -> Callable[[Callable[..., Answer]], Callable[..., HttpResponseBase]]:
    """Make a view of a function (attempt, request, …) → answer: token, method and errors are dealt with here."""
    return _endpoint(method, attempt_of)


def ingest_endpoint(handle: Callable[..., Answer]) -> Callable[..., HttpResponseBase]:
    """Make a view for POST of a function (sender, request) → answer, with as little work as possible around it."""
    return _endpoint("POST", sender_of)(handle)


def _endpoint(
    method: str, caller_of: Callable[[HttpRequest], Any]
) -> Callable[[Callable[..., Answer]], Callable[..., HttpResponseBase]]:
    def decorate(handle: Callable[..., Answer]) -> Callable[..., HttpResponseBase]:
        @functools.wraps(handle)
        def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method != method:
                return wrong_method(method)
            try:
                answer = handle(caller_of(request), request, *args, **kwargs)
            except DomainError as error:
                return json_error(error)
            if isinstance(answer, HttpResponseBase):
                return answer
            return HttpResponse(dump_json(answer), content_type="application/json")

        return access(Access.ATTEMPT)(csrf_exempt(view))

    return decorate
