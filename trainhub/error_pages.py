"""What is answered when no view answers: JSON for programs, a page for browsers. Needs no database, session or user."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse, JsonResponse

from trainhub.api.errors import RETRY_AFTER_SECONDS, answer_for
from trainhub.database_errors import is_database_away
from trainhub.errors import DomainError
from trainhub.pages import error_page
from trainhub.templatetags.formatting import file_size, time_span

_TEXTS = {
    400: ("bad_request", "The request could not be understood."),
    403: ("permission_denied", "This is not allowed."),
    404: ("not_found", "There is nothing here, or it is not yours to see."),
    413: ("too_large", "That is more than the hub takes at once."),
    429: ("throttled", "That was too often."),
    500: ("server_error", "Something failed here. It was logged; try again, and tell the operator if it stays."),
    503: ("unavailable", "The database is busy or away."),
}


def _answer(request: HttpRequest, status: int, detail: str = "", *, advice: str | None = None) -> HttpResponse:
    code, usual = _TEXTS[status]
    if is_browser(request):
        return error_page(request, status, detail or usual, advice=advice)
    return JsonResponse({"detail": detail or usual, "code": code}, status=status)


def is_browser(request: HttpRequest) -> bool:
    """Tell whether who asks wants a page: programs do not ask for HTML."""
    return "text/html" in request.headers.get("Accept", "")


def bad_request(request: HttpRequest, exception: Any) -> HttpResponse:
    """400, or 413 where Django found more in the request than it takes."""
    if isinstance(exception, RequestDataTooBig):
        return _answer(request, 413, f"A form takes at most {file_size(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)}.")
    if isinstance(exception, TooManyFieldsSent) and request.method == "POST":
        return _answer(request, 413, f"A form takes at most {settings.DATA_UPLOAD_MAX_NUMBER_FIELDS:,} fields.")
    return _answer(request, 400)


def forbidden(request: HttpRequest, exception: Any) -> HttpResponse:  # noqa: ARG001
    """403."""
    return _answer(request, 403)


def not_found(request: HttpRequest, exception: Any) -> HttpResponse:  # noqa: ARG001
    """404."""
    return _answer(request, 404)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 because a form's token was missing or old."""
    if "cookie" in reason:
        detail = "Your browser did not send the cookie that protects forms."
        return _answer(
            request, 403, detail, advice="Allow cookies for this hub, then go back, reload and send it again."
        )
    detail = "This form is too old or came from elsewhere."
    return _answer(request, 403, detail, advice="Nothing was changed. Go back, reload the page and send it again.")


def locked_out(request: HttpRequest, *_: Any) -> HttpResponse:
    """429 after too many wrong passwords for a name from an address."""
    wait = settings.AXES_COOLOFF_TIME
    response = _answer(
        request,
        429,
        f"Signing in failed {settings.AXES_FAILURE_LIMIT} times for this name from this address. "
        f"Try again in {time_span(wait.total_seconds())}.",
        advice="On the hub's machine, manage.py axes_reset lifts the block at once, and manage.py signinlink "
        "prints a link that signs in without a password.",
    )
    response.headers["Retry-After"] = str(int(wait.total_seconds()))
    return response


def wrong_method(*allowed: str) -> JsonResponse:
    """405, for views that take few methods."""
    detail = f"This takes {', '.join(allowed)} alone."
    body = {"detail": detail, "code": "method_not_allowed"}
    return JsonResponse(body, status=405, headers={"Allow": ", ".join(allowed)})


def server_error(request: HttpRequest) -> HttpResponse:
    """500; or what an error that middleware met means, as those pass by `UnavailableMiddleware`."""
    error = sys.exc_info()[1]  # Django calls this while it handles the error
    known = known_answer(request, error) if isinstance(error, Exception) else None
    return known or _answer(request, 500)


class UnavailableMiddleware:
    """Answers 503 with Retry-After instead of 500 while the database is away or locked."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer for errors that are no fault of the hub's code, leave others alone."""
        return known_answer(request, error)


def known_answer(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """Return the answer to an error that is no fault of the hub's code, in the form that the caller takes."""
    answer = answer_for(error)
    if answer is None or not is_browser(request):
        return answer
    if is_database_away(error):
        page = _answer(request, 503)
        page.headers["Retry-After"] = RETRY_AFTER_SECONDS
        return page
    if isinstance(error, DomainError):
        return error_page(request, error.status, error.detail)
    return bad_request(request, error)
