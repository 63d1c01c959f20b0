"""Whether the hub lives and can work; open to everybody, as probes carry no token."""

from __future__ import annotations

import functools
from collections.abc import Callable

from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from trainhub.access import Access, access
from trainhub.error_pages import wrong_method


def probe(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Make a view that everybody may GET; other methods are 405."""

    @functools.wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        return view(request) if request.method in {"GET", "HEAD"} else wrong_method("GET", "HEAD")

    return access(Access.PUBLIC)(csrf_exempt(answer))


@probe
def live(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """The process answers."""
    return JsonResponse({"status": "ok"})


@probe
def ready(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """The database answers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "database unavailable"}, status=503, headers={"Retry-After": "2"})
    return JsonResponse({"status": "ok"})
