"""Makes views of functions (caller, fields) → JSON object, and keeps the table of what is served where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from mlflow_api.callers import caller_of
from mlflow_api.errors import answer_error, answer_for, invalid
from mlflow_api.fields import Fields
from trainhub.access import Access, access
from trainhub.api.parsers import parse_json, read_body
from trainhub.api.renderers import dump_json
from trainhub.errors import MalformedBody, TooLarge

View = Callable[..., HttpResponseBase]
Handler = Callable[..., dict[str, Any] | HttpResponseBase]
MAX_BATCH_BYTES = 1_000_000  # of a log-batch, as the reference has it

_HANDLERS: dict[str, dict[str, tuple[Handler, int | None]]] = {}
_CREATING: set[str] = set()


def endpoint(
    method: str, route: str, *, max_bytes: int | None = None, is_create: bool = False
) -> Callable[[Handler], Handler]:
    """Serve `route` below `…/api/2.0/` by a function (caller, fields, …) that returns the answer.

    Several methods of one route may have functions of their own. Converters of the route become keyword arguments.
    `max_bytes` bounds the body, else DATA_UPLOAD_MAX_MEMORY_SIZE does. `is_create`: clients repeat it on 429 alone.
    """

    def declare(handler: Handler) -> Handler:
        _HANDLERS.setdefault(route, {})[method] = (handler, max_bytes)
        if is_create:
            _CREATING.add(route)
        return handler

    return declare


def routes() -> dict[str, View]:
    """Return the view of each route that was declared; those that name no variable part first."""
    ordered = sorted(_HANDLERS.items(), key=lambda item: "<" in item[0])
    return {route: _view(by_method, is_create=route in _CREATING) for route, by_method in ordered}


def _view(by_method: dict[str, tuple[Handler, int | None]], *, is_create: bool) -> View:
    def call(request: HttpRequest, **named: Any) -> HttpResponseBase:
        known = by_method.get(request.method or "")
        if known is None:
            return refuse_method(by_method)
        handler, max_bytes = known
        answer = handler(caller_of(request), read_fields(request, max_bytes), **named)
        if isinstance(answer, HttpResponseBase):
            return answer
        return HttpResponse(dump_json(answer), content_type="application/json")

    return tracking_view(call, is_create=is_create)


def tracking_view(call: Callable[..., HttpResponseBase], *, is_create: bool = False) -> View:
    """Make a view whose errors are answered as clients read them; `is_create` as for `answer_for`."""

    def view(request: HttpRequest, **named: Any) -> HttpResponseBase:
        try:
            return call(request, **named)
        except Exception as error:  # noqa: BLE001 - a client that gets no JSON error misreads what went wrong
            return answer_for(error, is_create=is_create)

    return access(Access.TRACKING)(csrf_exempt(view))


def refuse_method(allowed: dict[str, Any]) -> HttpResponse:
    """Return 405."""
    names = ", ".join(sorted(allowed))
    response = answer_error("BAD_REQUEST", f"This takes {names} alone.", status=405)
    response.headers["Allow"] = names
    return response


def read_fields(request: HttpRequest, max_bytes: int | None = None) -> Fields:
    """Return what a request asks for: the query of GET, else the JSON object of the body.

    Raises: MlflowError (400).
    """
    if request.method == "GET":
        return Fields.of_query(request.GET)
    limit = max_bytes or settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    try:
        raw = read_body(request, request.META.get("CONTENT_LENGTH"), limit)
        body = parse_json(raw) if raw.strip() else {}
    except (MalformedBody, TooLarge) as error:
        raise invalid(error.detail) from None
    if raw and request.content_type != "application/json":
        raise invalid("The body must be application/json.")
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    return Fields(body)
