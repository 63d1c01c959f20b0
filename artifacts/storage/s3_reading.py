"""An object of a bucket as a file that is read from the beginning to the end."""

from __future__ import annotations

import time
from typing import Any, Self

from artifacts.storage.base import BLOCK_BYTES, StoreUnavailable
from artifacts.storage.s3_client import READ_SECONDS, Bucket, told

REOPENED_AT_MOST = 5  # times, each after bytes came
PAUSE_SECONDS = 0.2


class S3Reader:
    """Reads an object in order. A connection that breaks is made anew, and reading goes on where it was.

    Raises: FileNotFoundError when there is no such object; StoreUnavailable also later.
    """

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket, self._key = bucket, key
        self._position, self._etag = 0, ""
        self._body = self._open()

    def _open(self) -> Any:
        more = {"Range": f"bytes={self._position}-", "IfMatch": self._etag} if self._position else {}
        with self._bucket.asking() as client:
            answer = client.get_object(**self._bucket.at(self._key), **more)
        self._etag = answer["ETag"]
        if answer["ContentLength"]:
            answer["Body"].set_socket_timeout(READ_SECONDS)  # it has begun to answer
        return answer["Body"]

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, all that are left for -1; empty at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(BLOCK_BYTES), b""))
        for left in reversed(range(REOPENED_AT_MOST)):
            try:
                with told(self._bucket.location.endpoint, is_noted=False):
                    block: bytes = self._body.read(size)
            except (StoreUnavailable, OSError) as error:
                self.close()
                if not left:
                    raise StoreUnavailable("The object store broke off while it sent an object.") from error
                time.sleep(PAUSE_SECONDS)
                self._body = self._open()
            else:
                self._position += len(block)
                return block
        raise AssertionError

    def close(self) -> None:
        """Close the connection, which may have more to send."""
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
