"""Whether the hub lives and can work; open to everybody, as probes carry no token, and in one word for that reason.

What the word means in detail, and what to do about it, `trainhub.doctor` tells operators.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from runs.models import SchedulerBeat
from runs.scheduler.beat import LATE_AFTER_SECONDS
from trainhub.access import Access, access
from trainhub.error_pages import wrong_method
from trainhub.schema_state import missing_migrations, unknown_migrations

SCHEMA_LOOKED_AT_EVERY = 10.0  # seconds; it changes with an upgrade alone


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
    """Requests can be served: 503 when not; `degraded`, with 200, when they can but no scheduler starts runs."""
    try:
        word = _why_not_ready()
        status = "" if word else "ok" if _has_scheduler() else "degraded"
    except DatabaseError:
        word, status = "database unavailable", ""
    if word:
        return JsonResponse({"status": word}, status=503, headers={"Retry-After": "2"})
    return JsonResponse({"status": status})


def _has_scheduler() -> bool:
    since = timezone.now() - timedelta(seconds=LATE_AFTER_SECONDS)
    return SchedulerBeat.objects.filter(seen_at__gte=since).exists()


def _why_not_ready() -> str:
    """Return what keeps this process from its work, in two words; empty when nothing does. Raises: DatabaseError."""
    if not schema_fits(int(time.monotonic() / SCHEMA_LOOKED_AT_EVERY)):
        return "schema differs"
    return "" if os.access(settings.DATA_DIR / "store", os.W_OK | os.X_OK) else "store unavailable"


@functools.lru_cache(maxsize=1)
def schema_fits(moment: int) -> bool:  # noqa: ARG001 - the cache's key: asked once for each
    """Tell whether the database has exactly the tables of this code. Raises: DatabaseError."""
    return not (missing_migrations() or unknown_migrations())
