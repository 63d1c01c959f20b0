"""The runner's side of HTTP: one connection kept alive, and three kinds of bad news.

A client belongs to one thread. Every call of the protocol may be repeated, so a lost answer costs nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from runner.durable import note
from runner.protocol import REQUEST_TIMEOUT_SECONDS, VERSION, VERSION_HEADER

MAX_ANSWER_BYTES: Final = 1024 * 1024
BLOCK_BYTES: Final = 1024 * 1024
MAX_RETRY_AFTER_SECONDS: Final = 30.0  # a longer wish of the hub is cut
LATER: Final = frozenset({408, 425, 429})  # 4xx that ask for the same call later
GIVE_UP_SECONDS: Final = 24 * 3600.0  # how long anything is sent again

STORE_AWAY: Final = "store_unavailable"  # of an answer 503: the hub is there, and its store of artifacts is not

Failures = (OSError, http.client.HTTPException, ValueError)


class NoAnswer(Exception):
    """No answer, or none that a hub would give, or "later". The same call may be sent again."""

    def __init__(self, why: str, retry_after: float = 0.0) -> None:
        super().__init__(why)
        self.retry_after = min(max(retry_after, 0.0), MAX_RETRY_AFTER_SECONDS)


class StoreAway(NoAnswer):
    """The object store, for the hub or for this node, did not take or give what it should; it may be tried again."""


class Refused(Exception):
    """The hub refuses this call for good. `expected` comes with code "sequence_gap"."""

    def __init__(self, status: int, code: str, detail: str, expected: int | None = None) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status, self.code, self.detail, self.expected = status, code, detail, expected


class Fenced(Exception):
    """This attempt is over for the hub: kill the trainer and stop sending."""


class Backoff:
    """Waiting times in seconds: 0.25, doubling up to 5, each shortened at random by up to a half."""

    FIRST: Final = 0.25
    LAST: Final = 5.0

    def __init__(self) -> None:
        self._next = self.FIRST

    def reset(self) -> None:
        """Start again with the shortest wait, after a success."""
        self._next = self.FIRST

    def delay(self, problem: NoAnswer | None = None) -> float:
        """Return the next wait; not shorter than the hub asked for."""
        wait, self._next = self._next, min(self._next * 2, self.LAST)
        asked = problem.retry_after if problem else 0.0
        return max(wait * random.uniform(0.5, 1.0), asked)  # noqa: S311  spreads load, guards nothing


class Client:
    """Calls `<hub>/node/…` with the attempt's token. The timeout holds for each wait on the network."""

    def __init__(self, hub_url: str, token: str, timeout: float = REQUEST_TIMEOUT_SECONDS) -> None:
        parts = urlsplit(hub_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("hub_url must be an http or https address")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/") + "/node/"
        self._headers = {"Authorization": f"Bearer {token}", VERSION_HEADER: str(VERSION)}
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: Mapping[str, Any] | bytes) -> dict[str, Any]:
        """Send JSON (an object, or bytes that already are one) and return the answer.

        Raises: NoAnswer, Refused, Fenced.
        """
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._answer("POST", path, lambda: data, len(data), "application/json")

    def put(self, path: str, blocks: Callable[[], Iterator[bytes]], size_bytes: int) -> dict[str, Any]:
        """Send `size_bytes` bytes block by block. Raises: NoAnswer, Refused, Fenced, and what `blocks` raises."""
        return self._answer("PUT", path, blocks, size_bytes, "application/octet-stream")

    def download(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of an answer in blocks of 1 MiB. Raises: NoAnswer, Refused, Fenced."""
        try:
            response = self._exchange("GET", path, lambda: None, 0, "")
            if response.status != 200:
                self._read_answer(response)
                raise NoAnswer(f"status {response.status} for a download")
            while block := response.read(BLOCK_BYTES):
                yield block
            if response.length:
                raise NoAnswer("the download was cut short")
        except Failures as error:
            raise NoAnswer(name_failure(error)) from error
        finally:
            self.close()  # also when the reader stops half-way

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None

    def _answer(self, method: str, path: str, body: Callable[[], Any], length: int, kind: str) -> dict[str, Any]:
        try:
            return self._read_answer(self._exchange(method, path, body, length, kind))
        except Failures as error:
            self.close()
            raise NoAnswer(name_failure(error)) from error
        except BaseException as error:
            if not isinstance(error, (Refused, Fenced, NoAnswer)):
                self.close()
            raise

    def _exchange(
        self, method: str, path: str, body: Callable[[], Any], length: int, kind: str
    ) -> http.client.HTTPResponse:
        was_open = self._connection is not None
        try:
            return self._send(method, path, body(), length, kind)
        except ConnectionError:
            self.close()
            if not was_open:
                raise
        return self._send(method, path, body(), length, kind)  # the hub had closed the idle connection

    def _send(self, method: str, path: str, body: Any, length: int, kind: str) -> http.client.HTTPResponse:
        connection = self._connection = self._connection or self._open()
        headers = dict(self._headers)
        if kind:
            headers |= {"Content-Type": kind, "Content-Length": str(length)}
        try:
            connection.request(method, self._prefix + path, body=body, headers=headers)
        except ConnectionError:
            if connection.sock is None:
                raise  # nobody took the connection
            # The hub may have answered without reading everything. That answer counts.
            with contextlib.suppress(*Failures):
                response = connection.getresponse()
                response.will_close = True
                return response
            raise
        return connection.getresponse()

    def _open(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)

    def _read_answer(self, response: http.client.HTTPResponse) -> dict[str, Any]:
        data = response.read(MAX_ANSWER_BYTES)
        if response.will_close or not response.isclosed():
            self.close()
        return judge(response.status, data, response.getheader("Retry-After"))


def judge(status: int, data: bytes, retry_after: str | None) -> dict[str, Any]:
    """Return the answer's object, or raise what status and body mean.

    Only a JSON object with a `code` can refuse or fence: an error page of some proxy in between must
    neither kill a trainer nor throw a batch away. Raises: NoAnswer, Refused, Fenced.
    """
    body = _parse_object(data)
    if 200 <= status < 300 and body is not None:
        return body
    code = body.get("code") if body else None
    if isinstance(code, str) and body is not None and 400 <= status < 500 and status not in LATER:
        if status == 401 or (status == 409 and code == "fenced"):
            raise Fenced(f"{status} {code}")
        expected = body.get("expected")
        raise Refused(status, code, str(body.get("detail", ""))[:500], expected if isinstance(expected, int) else None)
    if status == 413:
        raise Refused(status, "too_large", "The body is larger than a server on the way accepts.")
    seconds = float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else 0.0
    if code == STORE_AWAY and body is not None:
        raise StoreAway(str(body.get("detail", ""))[:300], seconds)
    raise NoAnswer(f"status {status}", seconds)


def retry(
    call: Callable[[], dict[str, Any]], *, leaving: threading.Event, seconds: float = GIVE_UP_SECONDS
) -> dict[str, Any]:
    """Repeat a call until it is answered. Raises: Refused, Fenced, and NoAnswer after `seconds` or on leaving."""
    deadline, backoff, has_noted = time.monotonic() + seconds, Backoff(), False
    while True:
        try:
            return call()
        except NoAnswer as problem:
            if not has_noted:
                note(f"no answer, trying on for {seconds:.0f} s: {problem}")
            delay, has_noted = backoff.delay(problem), True
            if time.monotonic() + delay >= deadline or leaving.wait(delay):
                raise


def _parse_object(data: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def name_failure(error: BaseException) -> str:
    """Return a line about an error of a connection, for logs."""
    return f"{type(error).__name__}: {error}"[:200]
