"""Sends and fetches files in a process of its own: `python -m benchmarks.protocol.transfer`.

Reads a `Transfer` as JSON. One kept connection and plain HTTP; the content is made beforehand, so that the client takes
little of what the server needs. Prints the seconds that it took.
"""

from __future__ import annotations

import functools
import http.client
import json
import random
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from benchmarks.hub import ROOT

BLOCK_BYTES = 1024 * 1024
TIMEOUT_SECONDS = 300  # of one answer, also of the one that follows the last byte of a large file
LIMIT_SECONDS = 900  # of all files together


@dataclass(frozen=True)
class Transfer:
    """Files `path`/0000.bin and so on, `count` of them of `size` bytes, to be sent or, with `is_download`, fetched.

    With `is_checked` what is fetched must be what is sent; measured are transfers without that.
    """

    port: int
    path: str
    token: str
    count: int
    size: int
    is_download: bool = False
    is_checked: bool = False

    def name(self, place: int) -> str:
        """Return the path of a file."""
        return f"{self.path}/{place:04d}.bin"


def transfer_elsewhere(transfer: Transfer) -> float:
    """Do it in another process; return the seconds from the first request to the last answer. Raises: RuntimeError."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.protocol.transfer"],
        input=json.dumps(asdict(transfer)),
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return float(done.stdout)


def content(size: int) -> Iterator[bytes]:
    """Yield the content of a file of so many bytes: one random block again and again, the same at every call."""
    block = random.Random(13).randbytes(min(BLOCK_BYTES, size))
    for start in range(0, size, BLOCK_BYTES):
        yield block[: size - start]


def run(transfer: Transfer) -> float:
    """Send or fetch; return the seconds. Raises: RuntimeError, OSError."""
    block = next(content(transfer.size), b"")
    connection = http.client.HTTPConnection("127.0.0.1", transfer.port, timeout=TIMEOUT_SECONDS)
    connection.connect()
    started = time.perf_counter()
    for place in range(transfer.count):
        if transfer.is_download:
            _fetch(connection, transfer, place)
        else:
            _send(connection, transfer, place, block)
    return time.perf_counter() - started


def _send(connection: http.client.HTTPConnection, transfer: Transfer, place: int, block: bytes) -> None:
    _begin(connection, "PUT", transfer, place, {"Content-Length": str(transfer.size)})
    whole, rest = divmod(transfer.size, len(block) or 1)
    for _ in range(whole):
        connection.send(block)
    connection.send(block[:rest])
    _answer(connection, transfer, place).read()


def _fetch(connection: http.client.HTTPConnection, transfer: Transfer, place: int) -> None:
    _begin(connection, "GET", transfer, place, {})
    answer = _answer(connection, transfer, place)
    seen = digest = 0
    buffer = memoryview(bytearray(BLOCK_BYTES))
    while length := answer.readinto(buffer):
        seen += length
        digest = zlib.crc32(buffer[:length], digest) if transfer.is_checked else 0
    if seen != transfer.size or digest != (_digest(transfer.size) if transfer.is_checked else 0):
        raise RuntimeError(f"{transfer.name(place)}: {seen} bytes came, not the {transfer.size} that were sent")


def _digest(size: int) -> int:
    return functools.reduce(lambda digest, block: zlib.crc32(block, digest), content(size), 0)


def _begin(
    connection: http.client.HTTPConnection, method: str, transfer: Transfer, place: int, headers: dict[str, str]
) -> None:
    connection.putrequest(method, transfer.name(place), skip_accept_encoding=True)
    if transfer.token:
        connection.putheader("Authorization", f"Bearer {transfer.token}")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()


def _answer(connection: http.client.HTTPConnection, transfer: Transfer, place: int) -> http.client.HTTPResponse:
    # Acknowledged at once, or some servers' second packet waits up to 44 ms for that.
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise RuntimeError(f"{transfer.name(place)}: {answer.status} {answer.read(300)!r}")
    return answer


if __name__ == "__main__":
    print(run(Transfer(**json.load(sys.stdin))))
