"""The runner's side of an object store: what signed URLs allow, and no more. It holds no credentials."""

from __future__ import annotations

import base64
import binascii
import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from runner.client import BLOCK_BYTES, Failures, StoreAway, name_failure

MAX_ANSWER_BYTES: Final = 64 * 1024
PLAIN_ENCRYPTION: Final = (None, "AES256")  # with which an ETag is still the MD5


class ObjectStore:
    """One connection at a time, kept alive. Belongs to one thread. The timeout holds for each wait on the network."""

    def __init__(self, timeout: float, leaving: threading.Event) -> None:
        self._timeout, self._leaving = timeout, leaving
        self._connection: http.client.HTTPConnection | None = None
        self._place: tuple[str, str] | None = None

    def put(
        self, url: str, headers: Mapping[str, str], blocks: Callable[[], Iterator[bytes]], size_bytes: int, md5: str
    ) -> None:
        """Send a part block by block. `md5` in base64 is compared with the store's ETag where that is one.

        Raises: StoreAway, and what `blocks` raises.
        """
        lengths = {"Content-Length": str(size_bytes), "Content-Type": "application/octet-stream"}
        try:
            response = self._send("PUT", url, {**lengths, **headers}, self._watched(blocks()))
            answer = response.read(MAX_ANSWER_BYTES)
        except Failures as error:
            self.close()
            raise StoreAway(f"the object store: {name_failure(error)}") from error
        except BaseException:
            self.close()
            raise
        if response.will_close or not response.isclosed():
            self.close()
        if response.status != 200:
            self.close()
            raise StoreAway(f"the object store answered {response.status} {_code_in(answer)}".rstrip())
        _check_etag(response, md5)

    def get(self, url: str, start: int) -> Iterator[bytes]:
        """Yield what follows the first `start` bytes, in blocks of 1 MiB. Raises: StoreAway."""
        try:
            response = self._send("GET", url, {"Range": f"bytes={start}-"} if start else {}, None)
            if response.status != (206 if start else 200):
                answer = response.read(MAX_ANSWER_BYTES)
                raise StoreAway(f"the object store answered {response.status} {_code_in(answer)}".rstrip())
            while block := response.read(BLOCK_BYTES):
                yield block
            if response.length:
                raise StoreAway("the object store cut the download short")
        except Failures as error:
            raise StoreAway(f"the object store: {name_failure(error)}") from error
        finally:
            self.close()

    def _watched(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the blocks until this runner is to leave."""
        for block in blocks:
            if self._leaving.is_set():
                raise StoreAway("leaving")
            yield block

    def _send(self, method: str, url: str, headers: dict[str, str], body: Any) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StoreAway("the hub names no place in the object store")
        if self._place != (parts.scheme, parts.netloc):
            self.close()
        connection = self._connection = self._connection or self._open(parts)
        self._place = (parts.scheme, parts.netloc)
        try:
            connection.request(method, f"{parts.path}?{parts.query}", body=body, headers=headers)
        except ConnectionError:
            # The store may have refused before it read everything. That answer counts.
            try:
                response = connection.getresponse()
            except Failures:
                raise ConnectionError("the connection broke") from None
            response.will_close = True
            return response
        return connection.getresponse()

    def _open(self, parts: SplitResult) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=self._timeout)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _code_in(answer: bytes) -> str:
    """Return the word for what went wrong in a store's answer, which is XML; empty without one."""
    word = answer.partition(b"<Code>")[2].partition(b"</Code>")[0][:60].decode("ascii", "replace")
    return word if word.isalnum() else ""


def _check_etag(response: http.client.HTTPResponse, md5: str) -> None:
    """Raise StoreAway when the store tells the MD5 of other bytes than were sent."""
    etag = (response.getheader("ETag") or "").strip('"')
    is_md5 = response.getheader("x-amz-server-side-encryption") in PLAIN_ENCRYPTION and len(etag) == 32
    try:
        is_other = is_md5 and bytes.fromhex(etag) != base64.b64decode(md5)
    except (ValueError, binascii.Error):
        return
    if is_other:
        raise StoreAway("the object store has other bytes than were sent (wrong ETag)")
