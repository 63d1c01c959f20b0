"""What is answered when no view answers: JSON for programs, a page for browsers."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

_TEXTS = {
    400: ("bad_request", "The request could not be understood."),
    403: ("permission_denied", "This is not allowed."),
    404: ("not_found", "There is nothing here, or it is not yours to see."),
    500: ("server_error", "Something failed here. It was logged; try again, and tell the operator if it stays."),
}


def _answer(request: HttpRequest, status: int, detail: str = "") -> HttpResponse:
    code, usual = _TEXTS[status]
    if "text/html" in request.headers.get("Accept", ""):
        return _page(request, status, detail or usual)
    return JsonResponse({"detail": detail or usual, "code": code}, status=status)


def _page(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    return render(request, "error.html", {"status": status, "detail": detail}, status=status)


def bad_request(request: HttpRequest, exception: Any) -> HttpResponse:  # noqa: ARG001
    """400."""
    return _answer(request, 400)


def forbidden(request: HttpRequest, exception: Any) -> HttpResponse:  # noqa: ARG001
    """403."""
    return _answer(request, 403)


def not_found(request: HttpRequest, exception: Any) -> HttpResponse:  # noqa: ARG001
    """404."""
    return _answer(request, 404)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001
    """403 because a form's token was missing or old."""
    return _answer(request, 403, "This form is too old or came from elsewhere. Go back, reload the page and try again.")


def wrong_method(*allowed: str) -> JsonResponse:
    """405, for views that take few methods."""
    detail = f"This takes {', '.join(allowed)} alone."
    body = {"detail": detail, "code": "method_not_allowed"}
    return JsonResponse(body, status=405, headers={"Allow": ", ".join(allowed)})


def server_error(request: HttpRequest) -> HttpResponse:
    """500."""
    return _answer(request, 500)
