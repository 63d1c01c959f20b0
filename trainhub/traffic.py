"""How many requests were answered, and how quickly, counted over all processes of one web server.

The counts lie in memory that the server maps before it forks, a part for each worker, so counting is two additions
under a lock of the process, and any worker can read all of them. Without a fork, as in tests, it is plain memory.
The labels are few and fixed: no name, path or word of a caller becomes one.
"""

from __future__ import annotations

import itertools
import mmap
import threading
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

PARTS = ("node", "mlflow", "api", "page", "admin", "static", "monitoring")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other")
STATUSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)  # seconds, inclusive
SLOTS = 64  # workers that count apart; the 65th shares the part of the first, which ended long ago
_ROW = len(BOUNDS) + 2  # the last two: slower than all bounds, and the sum of seconds
_SERIES = len(PARTS) * len(METHODS) * len(STATUSES)

_counts = memoryview(mmap.mmap(-1, SLOTS * _SERIES * _ROW * 8)).cast("d")
_lock = threading.Lock()
_first = 0  # where this worker's part begins
_FIRST_WORDS = {
    "node": "node",
    "mlflow": "mlflow",
    "": "page",
    "ui": "page",
    "admin": "admin",
    "static": "static",
    "health": "monitoring",
}
_PART_NUMBERS = {word: PARTS.index(part) for word, part in _FIRST_WORDS.items()}
_API = PARTS.index("api")
_METHOD_NUMBERS = {name: number for number, name in enumerate(METHODS)}


class Series(NamedTuple):
    """Requests of one kind: how many took at most each of BOUNDS, how many in all, and seconds together."""

    part: str
    method: str
    status: str
    within: list[float]
    total: float
    seconds: float


def begin_worker(number: int) -> None:
    """Count in the part of the worker `number` from now on."""
    global _first  # noqa: PLW0603 - of the process, as the memory is
    _first = number % SLOTS * _SERIES * _ROW


def count(path: str, method: str, status: int, seconds: float) -> None:
    """Count one request. `path` begins with a slash, `status` is HTTP's, `seconds` until the answer began."""
    part = _PART_NUMBERS.get(path[1:].partition("/")[0], _API)
    series = (part * len(METHODS) + _METHOD_NUMBERS.get(method, len(METHODS) - 1)) * len(STATUSES) + status // 100 - 1
    row = _first + series * _ROW
    with _lock:
        _counts[row + bisect_left(BOUNDS, seconds)] += 1.0
        _counts[row + _ROW - 1] += seconds


def read() -> Iterator[Series]:
    """Yield what all workers counted, of every kind that occurred."""
    size = _SERIES * _ROW
    parts = [_counts[start : start + size].tolist() for start in range(0, len(_counts), size)]
    used = [part for part in parts if any(part)]
    totals = [sum(values) for values in zip(*used, strict=True)]
    for number in range(_SERIES if used else 0):
        *buckets, seconds = totals[number * _ROW : (number + 1) * _ROW]
        if any(buckets):
            rest, status = divmod(number, len(STATUSES))
            part, method = divmod(rest, len(METHODS))
            within = list(itertools.accumulate(buckets))
            yield Series(PARTS[part], METHODS[method], STATUSES[status], within[:-1], within[-1], seconds)
