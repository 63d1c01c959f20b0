"""How batches of points, the inbox, become bytes and back. All integers and floats are little-endian.

A batch: length of the header (uint32), the header as JSON (per key: name, points, and the
indexes of its newest, least and greatest point, -1 for none), then steps, times and values of all keys as they are.

Chunks of points are in `point_packing`, lines in `line_packing`.

Payloads read from PostgreSQL are memoryviews, from SQLite bytes; all functions take both.
"""

from __future__ import annotations

import operator
import struct
import sys
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from runs.telemetry.points import Points, extreme_indexes, newest_index

Payload: TypeAlias = bytes | memoryview

_LENGTH = struct.Struct("<I")
_POINT_BYTES = 24  # step, time and value
_KeyHead: TypeAlias = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class KeySummary:
    """The newest point of a key, and its least and greatest finite value (None without one)."""

    key: str
    attempt_number: int
    step: int
    time: int
    value: float
    minimum: float | None
    maximum: float | None


def pack_batch(columns: Mapping[str, Points]) -> bytes:
    """Pack the points of an ingest call; every key has at least one."""
    header = []
    steps, times, values = array("q"), array("q"), array("d")
    for key, points in columns.items():
        low, high = extreme_indexes(points.values) or (-1, -1)
        header.append([key, len(points), newest_index(points), low, high])
        steps.extend(points.steps)
        times.extend(points.times)
        values.extend(points.values)
    head = orjson.dumps(header)
    return b"".join((_LENGTH.pack(len(head)), head, _to_bytes(steps), _to_bytes(times), _to_bytes(values)))


def unpack_batch(payload: Payload, keys: Collection[str] | None = None) -> Iterator[tuple[str, Points]]:
    """Yield key and points for each key of a batch, or for those of `keys`, in the order they came."""
    view, header, total = _open_batch(payload)
    start = 0
    for key, count, *_ in header:
        if keys is None or key in keys:
            yield key, _batch_points(view, total, start, count)
        start += count


def summarize_batch(payload: Payload, attempt_number: int) -> Iterator[KeySummary]:
    """Yield the summary of each key of a batch without unpacking its points."""
    view, header, total = _open_batch(payload)
    start = 0
    for key, count, newest, low, high in header:
        values = 2 * total + start
        yield KeySummary(
            key,
            attempt_number,
            step=_integer_at(view, start + newest),
            time=_integer_at(view, total + start + newest),
            value=_float_at(view, values + newest),
            minimum=None if low < 0 else _float_at(view, values + low),
            maximum=None if high < 0 else _float_at(view, values + high),
        )
        start += count


def batch_keys(payload: Payload) -> list[str]:
    """Return the names of the metrics of a batch."""
    return [head[0] for head in _open_batch(payload)[1]]


def batch_first_time(payload: Payload) -> int:
    """Return the least time of a batch's points, ms since 1970 UTC."""
    view, _, total = _open_batch(payload)
    return min(_integers(view[8 * total : 16 * total]))


def _open_batch(payload: Payload) -> tuple[memoryview, list[_KeyHead], int]:
    """Return the columns' bytes, the header and the number of points."""
    view = memoryview(payload)
    (length,) = _LENGTH.unpack_from(view)
    columns = view[_LENGTH.size + length :]
    return columns, orjson.loads(view[_LENGTH.size : _LENGTH.size + length]), len(columns) // _POINT_BYTES


def _batch_points(view: memoryview, total: int, start: int, count: int) -> Points:
    steps, times, values = (view[8 * first : 8 * (first + count)] for first in range(start, 3 * total, total))
    return Points(_integers(steps), _integers(times), _floats(values))


def _integer_at(view: memoryview, place: int) -> int:
    number: int = struct.unpack_from("<q", view, 8 * place)[0]
    return number


def _float_at(view: memoryview, place: int) -> float:
    number: float = struct.unpack_from("<d", view, 8 * place)[0]
    return number


def _differences(numbers: Sequence[int]) -> list[int]:
    return [*numbers[:1], *map(operator.sub, numbers[1:], numbers)]


def _to_bytes(numbers: array[int] | array[float]) -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _integers(data: Payload) -> array[int]:
    numbers = array("q")
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _floats(data: Payload) -> array[float]:
    numbers = array("d")
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
