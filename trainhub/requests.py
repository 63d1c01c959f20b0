"""What every request goes through first: an id, a place in the counters, and in JSON logs a line."""

from __future__ import annotations

import itertools
import logging
import os
import re
import secrets
from collections.abc import Callable
from time import perf_counter

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from trainhub import logs, traffic
from trainhub.node_path import PREFIXES

HEADER = "X-Request-ID"
logger = logging.getLogger(__name__)
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Of these only errors get a line: they are asked for many times a second, and the counters have them.
_QUIET = (*PREFIXES, "/static/", "/health")


class _Ids:
    """Ids that no other process makes: a random word of this process and a number."""

    def __init__(self) -> None:
        self.start()
        os.register_at_fork(after_in_child=self.start)

    def start(self) -> None:
        """Take a new word, as a process must after a fork."""
        self._word, self._numbers = secrets.token_hex(6), itertools.count(1)

    def __call__(self) -> str:
        return f"{self._word}-{next(self._numbers):x}"


_new_id = _Ids()


class RequestMiddleware:
    """Stands before all other middleware. A caller may bring the id, in plain characters; a proxy does."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._writes_lines = logs.wanted_format() == "json"

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, and note how long it took."""
        began = perf_counter()
        given = request.META.get("HTTP_X_REQUEST_ID")
        request.request_id = given if given and _GIVEN.fullmatch(given) else _new_id()  # type: ignore[attr-defined]
        mark = logs.current_request.set(request)
        try:
            response = self.get_response(request)
            response.headers[HEADER] = request.request_id  # type: ignore[attr-defined]
            seconds = perf_counter() - began
            traffic.count(request.path_info, request.method or "", response.status_code, seconds)
            if self._writes_lines:
                _write_line(request, response.status_code, seconds)
        finally:
            logs.current_request.reset(mark)
        return response


def _write_line(request: HttpRequest, status: int, seconds: float) -> None:
    if status < 400 and request.path_info.startswith(_QUIET):
        return
    # Not the query: sign-in links carry their secret in it.
    logger.log(
        logging.WARNING if status >= 500 else logging.INFO,
        "request answered",
        extra={"fields": {"status": status, "seconds": round(seconds, 6)}},
    )
