"""Requests in a closed loop, from a process of its own: `python -m benchmarks.load '{"port": …}'`.

Plain sockets and almost no parsing, so that on a small machine the client takes little of what the server needs.
"""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.hub import ROOT

HEADERS_END = b"\r\n\r\n"
LENGTH = b"content-length:"
BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Load:
    """What to ask, how, and for how many seconds; each connection has one request under way at a time."""

    port: int
    path: str
    token: str
    connections: int
    seconds: float


@dataclass(frozen=True)
class Figures:
    """What was seen: requests per second of all connections together, and times of single requests in ms."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    requests: int


def measure_elsewhere(load: Load) -> Figures:
    """Run the load in another process and return what it saw. Raises: CalledProcessError."""
    command = [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(load))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=load.seconds + 60)
    return Figures(**json.loads(done.stdout))


def measure(load: Load) -> Figures:
    """Run the load in this process. Raises: RuntimeError when an answer is not 200."""
    connections = [_Connection(load) for _ in range(load.connections)]
    threads = [threading.Thread(target=connection.loop) for connection in connections]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if problems := [connection.problem for connection in connections if connection.problem]:
        raise RuntimeError(problems[0])
    times = sorted(value for connection in connections for value in connection.times)
    return Figures(len(times) / seconds, 1000 * quantile(times, 0.5), 1000 * quantile(times, 0.99), len(times))


class _Connection:
    """One kept connection and the seconds that each of its requests took."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._request = (
            f"GET {load.path} HTTP/1.1\r\nHost: 127.0.0.1:{load.port}\r\n"
            f"Authorization: Bearer {load.token}\r\nAccept: application/json\r\n\r\n"
        ).encode()
        self.times: list[float] = []
        self.problem = ""

    def loop(self) -> None:
        """Ask, read, ask again, until the time is over; the first request warms up and is not counted."""
        try:
            with socket.create_connection(("127.0.0.1", self._load.port), timeout=30) as link:
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ask(link)
                end = time.perf_counter() + self._load.seconds
                while (started := time.perf_counter()) < end:
                    self._ask(link)
                    self.times.append(time.perf_counter() - started)
        except (OSError, ValueError) as error:
            self.problem = f"{self._load.path}: {error}"

    def _ask(self, link: socket.socket) -> None:
        link.sendall(self._request)
        answer = link.recv(BLOCK_BYTES)
        while HEADERS_END not in answer:
            answer += _more(link)
        head, _, body = answer.partition(HEADERS_END)
        if not head.startswith(b"HTTP/1.1 200"):
            raise ValueError(head.partition(b"\r\n")[0].decode())
        missing = _content_length(head) - len(body)
        while missing > 0:
            missing -= len(_more(link))


def _more(link: socket.socket) -> bytes:
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


def main(arguments: list[str]) -> None:
    """Print the figures as JSON."""
    wanted: dict[str, Any] = json.loads(arguments[0])
    print(json.dumps(asdict(measure(Load(**wanted)))))


if __name__ == "__main__":
    main(sys.argv[1:])
