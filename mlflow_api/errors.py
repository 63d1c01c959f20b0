"""Errors as MLflow clients read them: a JSON object with `error_code` and `message`.

Clients repeat 408, 429 and every 5xx for minutes while the training waits, so only what may get better is answered so.
Since 3.18 they repeat what makes runs and experiments on 408 and 429 alone: a 503 there would end the script.
"""

from __future__ import annotations

import logging

import orjson
from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse

from trainhub.api.errors import RETRY_AFTER_SECONDS
from trainhub.database_errors import is_database_away
from trainhub.errors import DomainError, StorageFull, TooBusy

logger = logging.getLogger(__name__)

STATUSES = {
    "INVALID_PARAMETER_VALUE": 400,
    "BAD_REQUEST": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "ENDPOINT_NOT_FOUND": 404,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL_ERROR": 500,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
}
_BY_STATUS = {403: "PERMISSION_DENIED", 404: "RESOURCE_DOES_NOT_EXIST", 410: "RESOURCE_DOES_NOT_EXIST"}


class MlflowError(Exception):
    """An answer to a client that is an error; `code` is one of STATUSES."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def invalid(message: str) -> MlflowError:
    """Return the error for a value that cannot be taken (400)."""
    return MlflowError("INVALID_PARAMETER_VALUE", message)


def missing(what: str) -> MlflowError:
    """Return the error for something that is not there, or that the caller may not know of (404)."""
    return MlflowError("RESOURCE_DOES_NOT_EXIST", what)


def answer_error(code: str, message: str, *, status: int | None = None, retry_after: str = "") -> HttpResponse:
    """Return the answer that clients read as an error."""
    headers = {"Retry-After": retry_after} if retry_after else {}
    return HttpResponse(
        orjson.dumps({"error_code": code, "message": message}),
        status=status or STATUSES[code],
        content_type="application/json",
        headers=headers,
    )


def answer_for(error: Exception, *, is_create: bool = False) -> HttpResponse:
    """Return the answer to whatever a view raised; what nobody expected is logged and answered without detail.

    `is_create`: the request makes a run or an experiment, and what passes is answered with 429 in place of 503.
    """
    retry_after = ""
    busy = "REQUEST_LIMIT_EXCEEDED" if is_create else "TEMPORARILY_UNAVAILABLE"
    match error:
        case MlflowError():
            code, message = error.code, error.message
        case StorageFull():
            code, message, retry_after = "RESOURCE_EXHAUSTED", error.detail, "60"
        case TooBusy():
            code, message, retry_after = busy, error.detail, RETRY_AFTER_SECONDS
        case DomainError():
            code, message = _BY_STATUS.get(error.status, "INVALID_PARAMETER_VALUE"), error.detail
        case _ if is_database_away(error):
            logger.warning("database unavailable: %s", type(error).__name__)
            message = "The database is busy or away; try again shortly."
            code, retry_after = busy, RETRY_AFTER_SECONDS
        case RequestDataTooBig():
            code, message = "INVALID_PARAMETER_VALUE", "The body is too large."
        case _:
            logger.error("a tracking client was answered with 500", exc_info=error)
            code, message = "INTERNAL_ERROR", "Something failed here; it was logged."
    return answer_error(code, message, retry_after=retry_after)
