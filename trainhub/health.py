"""Whether the hub lives and can work; open to everybody, as probes carry no token."""

from __future__ import annotations

from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, JsonResponse

from trainhub.access import Access, access


@access(Access.PUBLIC)
def live(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """The process answers."""
    return JsonResponse({"status": "ok"})


@access(Access.PUBLIC)
def ready(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """The database answers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "database unavailable"}, status=503, headers={"Retry-After": "2"})
    return JsonResponse({"status": "ok"})
