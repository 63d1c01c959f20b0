"""Requests in a closed loop, from a process of its own that reads `[Load, …]` as JSON: `python -m benchmarks.load`.

Plain sockets, requests made beforehand and almost no parsing, so that on a small machine the client takes little of
what the server needs. Every answer is checked.
"""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks import bodies
from benchmarks.bodies import Size
from benchmarks.hub import ROOT

HEADERS_END = b"\r\n\r\n"
LENGTH = b"content-length:"
BLOCK_BYTES = 256 * 1024
TIMEOUT_SECONDS = 120  # of one answer; a peer's largest may take a minute


@dataclass(frozen=True)
class Sender:
    """Who one connection speaks for: a token, and the run that a peer's body names."""

    token: str = ""
    run: str = ""


@dataclass(frozen=True)
class Load:
    """What to ask, how and for how long; each sender has one request under way at a time.

    With a `shape` of benchmarks.bodies it is a POST of bodies of that shape and size, else a GET; one with a `body`
    is a POST of just that. It ends after `seconds`, or after `requests` on each connection when that is not 0.
    `expect` is a text that every answer must hold. `at_once`: acknowledge packets at once instead of after up to 40 ms.
    """

    port: int
    path: str
    senders: list[Sender]
    seconds: float
    requests: int = 0
    expect: str = ""
    shape: str = ""
    size: Size = field(default_factory=Size)
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    at_once: bool = False


@dataclass(frozen=True)
class Figures:
    """What was seen: requests per second of all connections together, times of single requests in ms.

    `calls` counts what each sender had answered, with the one that warmed up. `client_cpu` is the client's share of
    one core, 0 to 1.
    """

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    calls: list[int]
    client_cpu: float


def measure_elsewhere(*loads: Load) -> list[Figures]:
    """Run the loads one after the other in another process and return what it saw. Raises: RuntimeError."""
    seconds = sum(load.seconds for load in loads) + 2 * TIMEOUT_SECONDS
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps([asdict(load) for load in loads]),
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return [Figures(**figures) for figures in json.loads(done.stdout)]


def measure(load: Load) -> Figures:
    """Run the load in this process. Raises: RuntimeError when an answer is not as it must be."""
    variants = [text.encode() for text in bodies.variants(load.shape, load.size)] if load.shape else []
    connections = [Connection(load, sender, variants) for sender in load.senders]
    threads = [threading.Thread(target=connection.loop) for connection in connections]
    started, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if problems := [connection.problem for connection in connections if connection.problem]:
        raise RuntimeError(problems[0])
    times = sorted(value for connection in connections for value in connection.times)
    return Figures(
        requests_per_second=len(times) / seconds,
        p50_ms=1000 * quantile(times, 0.5),
        p99_ms=1000 * quantile(times, 0.99),
        calls=[len(connection.times) + 1 for connection in connections],
        client_cpu=(time.process_time() - cpu) / seconds,
    )


def request_bytes(load: Load, sender: Sender, body: bytes | None) -> bytes:
    """Return a whole request; marks in the body stay, they are as long as what takes their place."""
    lines = [f"{'GET' if body is None else 'POST'} {load.path} HTTP/1.1", f"Host: 127.0.0.1:{load.port}"]
    lines += [f"{name}: {value}" for name, value in {"Accept": "application/json", **load.headers}.items()]
    if sender.token:
        lines.append(f"Authorization: Bearer {sender.token}")
    if body is None:
        return "\r\n".join([*lines, "", ""]).encode()
    body = body.replace(bodies.RUN.encode(), sender.run.encode())
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Busy(ValueError):
    """The server asks to send the same again later."""


class Connection:
    """One kept connection and the seconds that each of its requests took."""

    def __init__(self, load: Load, sender: Sender, variants: list[bytes]) -> None:
        self._load = load
        self._sender = sender
        plain = [load.body.encode()] if load.body else [None]
        self._requests = [request_bytes(load, sender, body) for body in variants or plain]
        self._expect = load.expect.encode()
        self._is_patched = bool(variants)
        self._number = 0
        self.times: list[float] = []
        self.problem = ""

    def loop(self) -> None:
        """Ask, read, ask again, until the time is over; the first request warms up and is not counted."""
        try:
            with self.open() as link:
                self.ask(link)
                end = time.perf_counter() + self._load.seconds
                most = self._load.requests or math.inf
                while (started := time.perf_counter()) < end and len(self.times) < most:
                    self.ask(link)
                    self.times.append(time.perf_counter() - started)
        except (OSError, ValueError) as error:
            self.problem = f"{self._load.path}: {error}"

    def open(self) -> socket.socket:
        """Connect."""
        link = socket.create_connection(("127.0.0.1", self._load.port), timeout=TIMEOUT_SECONDS)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def ask(self, link: socket.socket) -> None:
        """Make the next request and read its answer. Raises: ValueError when it is not as it must be."""
        self.exchange(link, self.next_request())

    def exchange(self, link: socket.socket, request: bytes) -> None:
        """Send a request and read its answer. Raises: ValueError when it is not as it must be, Busy for a 503."""
        link.sendall(request)
        head, body = self._answer(link)
        if not head.startswith(b"HTTP/1.1 200") or self._expect not in body:
            kind = Busy if head.startswith(b"HTTP/1.1 503") else ValueError
            raise kind(f"{head.partition(b' ')[2][:40]!r} {body[:300]!r}")

    def next_request(self) -> bytes:
        """Return the next request, with its numbers in place of the marks."""
        number = self._number
        self._number = number + 1
        request = self._requests[number % len(self._requests)]
        if not self._is_patched:
            return request
        request = request.replace(bodies.SEQUENCE.encode(), b"%12d" % (number + 1), 1)
        return request.replace(bodies.CALL.encode(), b"%d" % (bodies.FIRST_CALL + number))

    def _answer(self, link: socket.socket) -> tuple[bytes, bytes]:
        answer = self._more(link)
        while HEADERS_END not in answer:
            answer += self._more(link)
        head, _, body = answer.partition(HEADERS_END)
        blocks, missing = [body], _content_length(head) - len(body)
        while missing > 0:
            blocks.append(self._more(link))
            missing -= len(blocks[-1])
        return head, b"".join(blocks)

    def _more(self, link: socket.socket) -> bytes:
        if self._load.at_once:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # the kernel forgets it now and then
        block = link.recv(BLOCK_BYTES)
        if not block:
            raise ValueError("the server closed the connection")
        return block


def _content_length(head: bytes) -> int:
    lower = head.lower()
    start = lower.index(LENGTH) + len(LENGTH)
    return int(lower[start:].split(b"\r\n", 1)[0])


def quantile(ascending: list[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the values lie; NaN when there are none."""
    if not ascending:
        return math.nan
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def _read_load(values: dict[str, Any]) -> Load:
    senders = [Sender(**sender) for sender in values.pop("senders")]
    return Load(**{**values, "senders": senders, "size": Size(**values["size"])})


def main() -> None:
    """Print the figures as JSON."""
    print(json.dumps([asdict(measure(_read_load(values))) for values in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
