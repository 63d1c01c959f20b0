"""How errors reach the client: DRF's shapes plus a stable `code`, and never a traceback."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from trainhub.database_errors import is_database_away
from trainhub.errors import DomainError, InvalidInput, StorageFull, TooBusy, TooLarge

logger = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = "2"


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn what a view raised into an answer; None lets Django answer 500 (and log it)."""
    if isinstance(error, DomainError):
        return _domain_answer(error)
    answer = exception_handler(error, context)
    if answer is None:
        return None
    if isinstance(error, exceptions.ValidationError):
        answer.data = _field_errors(answer.data)
    elif isinstance(answer.data, dict):
        answer.data.setdefault("code", _code_of(error))
    return answer


def _domain_answer(error: DomainError) -> Response:
    if isinstance(error, InvalidInput):
        return Response(_field_errors(error.fields), status=error.status)
    return Response(error_body(error), status=error.status, headers=_headers_of(error))


def _headers_of(error: DomainError) -> dict[str, str]:
    if isinstance(error, StorageFull):
        return {"Retry-After": "60"}
    return {"Retry-After": RETRY_AFTER_SECONDS} if isinstance(error, TooBusy) else {}


def error_body(error: DomainError) -> dict[str, Any]:
    """Return the JSON object that stands for `error`."""
    return {"detail": error.detail, "code": error.code, **error.extra}


def _field_errors(data: Any) -> dict[str, Any]:
    """Keep DRF's field errors beside the `code`; what is wrong with a field of that very name moves aside."""
    fields = dict(data) if isinstance(data, dict) else {"non_field_errors": data}
    if "code" in fields:
        named = [f"code: {text}" for text in fields.pop("code")]
        fields["non_field_errors"] = [*fields.get("non_field_errors", []), *named]
    return {"code": "invalid", **fields}


def _code_of(error: Exception) -> str:
    code = getattr(error, "default_code", None)
    if isinstance(error, exceptions.APIException):
        codes = error.get_codes()
        return codes if isinstance(codes, str) else str(code)
    return {"Http404": "not_found", "PermissionDenied": "permission_denied"}.get(type(error).__name__, "error")


def json_error(error: DomainError) -> HttpResponse:
    """Return the answer of a plain view (no DRF) to a domain error."""
    body = _field_errors(error.fields) if isinstance(error, InvalidInput) else error_body(error)
    headers = _headers_of(error)
    return HttpResponse(orjson.dumps(body), status=error.status, content_type="application/json", headers=headers)


def unavailable() -> HttpResponse:
    """Return 503: the database is away or busy; the same request may succeed shortly."""
    body = {"detail": "The database is busy or away; try again shortly.", "code": "unavailable"}
    return HttpResponse(
        orjson.dumps(body),
        status=503,
        content_type="application/json",
        headers={"Retry-After": RETRY_AFTER_SECONDS},
    )


def answer_for(error: Exception) -> HttpResponse | None:
    """Return the answer to an error that is no fault of the hub's code: 503, 413 or the domain's own; else None."""
    if is_database_away(error):
        logger.warning("database unavailable: %s", type(error).__name__)
        return unavailable()
    if isinstance(error, RequestDataTooBig):
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        return json_error(TooLarge(f"The body is larger than {limit} bytes.", limit=limit))
    if isinstance(error, DomainError):
        return json_error(error)
    return None
