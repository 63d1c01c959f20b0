"""Asks a web server of this hub, by its address, whether it is there."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

ERRORS = (OSError, http.client.HTTPException, ValueError)  # what `ask` raises when nobody answers, or not in HTTP


def ask(url: str, *, timeout: float, about: str = "live") -> tuple[int, bytes]:
    """Return status and the first kB of what `url`/health/`about` answers within so many seconds. Raises: ERRORS."""
    place = urlsplit(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.hostname or "", place.port, timeout=timeout)
    try:
        connection.request("GET", f"{place.path}/health/{about}")
        answer = connection.getresponse()
        return answer.status, answer.read(1000)
    finally:
        connection.close()


def is_trainhub(answer: tuple[int, bytes]) -> bool:
    """Tell whether an answer of `ask` is that of a hub that is up."""
    status, body = answer
    return status == 200 and b'"ok"' in body


def is_ready(url: str, *, timeout: float) -> bool:
    """Tell whether the hub at `url` answers and reaches its database."""
    try:
        return ask(url, timeout=timeout, about="ready")[0] == 200
    except ERRORS:
        return False
