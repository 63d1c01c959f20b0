"""`Prefer: wait=N` (RFC 7240): bounded in time and in number, so that waiting never takes all threads."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from django.conf import settings
from rest_framework.request import Request

_POLL_SECONDS = 0.05  # about what a person does not notice
_places = threading.BoundedSemaphore(settings.MAX_WAITING_REQUESTS)


def wanted_seconds(request: Request, default: float) -> float:
    """Return how long the caller wants to wait: `Prefer: wait=N` in seconds, else `default`; bounded."""
    found = re.search(r"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])", request.headers.get("Prefer", ""))
    seconds = float(found.group(1)) if found else default
    return min(seconds, float(settings.MAX_WAIT_SECONDS))


def wait_until(is_done: Callable[[], bool], seconds: float) -> bool:
    """Ask `is_done` until it says yes or the time is over; return its last word.

    When too many requests wait already, it is asked once: waiting is a preference, not a right.
    """
    deadline = time.monotonic() + seconds
    if is_done():
        return True
    if seconds <= 0 or not _places.acquire(blocking=False):
        return False
    try:
        while time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            if is_done():
                return True
        return False
    finally:
        _places.release()
