"""Brings files of artifacts straight to the object store, part after part."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from runner.client import Backoff, Client, NoAnswer, StoreAway
from runner.manifest import read_blocks
from runner.protocol import MIN_PART_BYTES, part_size_for
from runner.store import ObjectStore

# Of one part in a row, some 8 s; afterwards the artifact is begun again, with the parts that are there.
TRIES: Final = 6


class PartSender:
    """Sends files in parts that can be repeated; what the store has already is not sent again.

    The MD5 of each part is kept while its file is under way, so that going on costs no reading.
    """

    def __init__(self, client: Client, store: ObjectStore, leaving: threading.Event) -> None:
        self._client, self._store, self._leaving = client, store, leaving
        self._sums: dict[int, str] = {}  # MD5 by part
        self._file: tuple[Any, ...] = ()  # which file they are of

    def send(self, place: str, path: Path, size_bytes: int, modified_ns: int, base: int) -> None:
        """Send one file to `place`, its path below /node/. Raises: NoAnswer, Refused, Fenced, Changed.

        `base` is the hub's size of parts in bytes.
        """
        part_size = part_size_for(size_bytes, max(base, MIN_PART_BYTES))
        file = (path, size_bytes, modified_ns, part_size)
        if self._file != file:
            self._file, self._sums = file, {}
        count = max(1, -(-size_bytes // part_size))
        for number in range(1, count + 1):
            start = (number - 1) * part_size
            length = min(part_size, size_bytes - start)
            blocks = partial(read_blocks, path, length, start)
            self._send_part(place, {"number": number, "part_size": part_size}, blocks, length)
        if count > 1 and (missing := self._client.post(f"{place}/join", {}).get("missing")):
            raise NoAnswer(f"{len(missing)} parts did not stay in the object store")

    def _send_part(
        self, place: str, request: dict[str, Any], blocks: Callable[[], Iterator[bytes]], length: int
    ) -> None:
        md5 = self._sum_of(request["number"], blocks)
        backoff = Backoff()
        for left in reversed(range(TRIES)):
            ticket = self._client.post(f"{place}/part", {**request, "md5": md5})  # an older URL may be over
            url, headers = ticket.get("url"), ticket.get("headers")
            if url is None:
                return
            if not isinstance(url, str) or not isinstance(headers, dict):
                raise NoAnswer("the answer to a part is no ticket")
            try:
                self._store.put(url, headers, blocks, length, md5)
            except StoreAway as problem:
                if not left or self._leaving.wait(backoff.delay(problem)):
                    raise
            else:
                return

    def _sum_of(self, number: int, blocks: Callable[[], Iterator[bytes]]) -> str:
        if number not in self._sums:
            digest = hashlib.md5(usedforsecurity=False)
            for block in blocks():
                digest.update(block)
            self._sums[number] = base64.b64encode(digest.digest()).decode()
        return self._sums[number]
