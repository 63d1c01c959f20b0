"""How many files one web process sends or takes at a time.

A transfer holds a thread for as long as the other side pleases. Beyond the limit a caller is asked to come back, so
that slow transfers can never take all threads from people, heartbeats and health probes. Clients that move many small
files at once may wait a moment for a place instead; a few of them do, as waiting holds a thread, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.conf import settings
from django.http.response import HttpResponseBase

from trainhub.errors import TooBusy

Response = TypeVar("Response", bound=HttpResponseBase)
# Apart, so that people who download slowly never keep a runner from handing over a checkpoint.
_uploads = threading.BoundedSemaphore(settings.MAX_TRANSFERS)
_downloads = threading.BoundedSemaphore(settings.MAX_TRANSFERS)
_waiting = threading.BoundedSemaphore(2)  # callers who wait for a place
SHORT_WAIT_SECONDS = 5.0  # most files of a training are small; what takes longer is worth another request


def _take(places: threading.BoundedSemaphore, wait_seconds: float) -> None:
    if places.acquire(blocking=False):
        return
    if wait_seconds and _waiting.acquire(blocking=False):
        try:
            if places.acquire(timeout=wait_seconds):
                return
        finally:
            _waiting.release()
    raise TooBusy("Too many files are being transferred; try again shortly.")


@contextmanager
def upload_place(*, wait_seconds: float = 0) -> Iterator[None]:
    """Hold one of the places for uploads. Raises: TooBusy (503) when all are taken, after `wait_seconds` if need be."""
    _take(_uploads, wait_seconds)
    try:
        yield
    finally:
        _uploads.release()


def as_download(make: Callable[[], Response], *, wait_seconds: float = 0) -> Response:
    """Return the response that `make` makes; it holds a place until it is closed. Raises: as `upload_place`."""
    _take(_downloads, wait_seconds)
    try:
        response = make()
    except BaseException:
        _downloads.release()
        raise
    close, lock = response.close, threading.Lock()

    def close_once() -> None:
        close()
        if lock.acquire(blocking=False):  # a response may be closed twice, its place is given back once
            _downloads.release()

    response.close = close_once  # type: ignore[method-assign]
    return response
