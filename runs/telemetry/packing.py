"""How points become bytes and back. All integers and floats are little-endian.

A batch of points (the inbox): length of the header (uint32), the header as JSON (per key: name, points, and the
indexes of its newest, least and greatest point, -1 for none), then steps, times and values of all keys as they are.

A chunk of points: two flags (uint8: steps, times are differences), points (uint32), then zlib level 1 over the
columns, each with its bytes transposed: first bytes of all numbers, second bytes, … What is equal lies together.

Selected points (outlines and sketches): step, time, value of one point after the other, 24 bytes each.

Payloads read from PostgreSQL are memoryviews, from SQLite bytes; all functions take both.
"""

from __future__ import annotations

import itertools
import operator
import struct
import sys
import zlib
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from runs.telemetry.points import Points, extreme_indexes, newest_index

Payload: TypeAlias = bytes | memoryview

_LENGTH = struct.Struct("<I")
_CHUNK_HEAD = struct.Struct("<BBI")
_POINT = struct.Struct("<qqd")
POINT_BYTES = _POINT.size
_KeyHead: TypeAlias = tuple[str, int, int, int, int]
_ZLIB_LEVEL = 1  # 8 bytes a point; higher levels cost more time than they save space


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


def _open_batch(payload: Payload) -> tuple[memoryview, list[_KeyHead], int]:
    """Return the columns' bytes, the header and the number of points."""
    view = memoryview(payload)
    (length,) = _LENGTH.unpack_from(view)
    columns = view[_LENGTH.size + length :]
    return columns, orjson.loads(view[_LENGTH.size : _LENGTH.size + length]), len(columns) // POINT_BYTES


def _batch_points(view: memoryview, total: int, start: int, count: int) -> Points:
    steps, times, values = (view[8 * first : 8 * (first + count)] for first in range(start, 3 * total, total))
    return Points(_integers(steps), _integers(times), _floats(values))


def _integer_at(view: memoryview, place: int) -> int:
    number: int = struct.unpack_from("<q", view, 8 * place)[0]
    return number


def _float_at(view: memoryview, place: int) -> float:
    number: float = struct.unpack_from("<d", view, 8 * place)[0]
    return number


def pack_points(points: Points) -> bytes:
    """Pack the points of a chunk."""
    steps_flag, steps = _try_differences(points.steps)
    times_flag, times = _try_differences(points.times)
    columns = (steps, times, array("d", points.values))
    body = zlib.compress(b"".join(_transpose(_to_bytes(column)) for column in columns), _ZLIB_LEVEL)
    return _CHUNK_HEAD.pack(steps_flag, times_flag, len(points)) + body


def unpack_points(payload: Payload) -> Points:
    """Undo `pack_points`."""
    steps_flag, times_flag, count = _CHUNK_HEAD.unpack_from(payload)
    body = zlib.decompress(memoryview(payload)[_CHUNK_HEAD.size :])
    size = 8 * count
    steps = _integers(_transpose_back(body[:size]))
    times = _integers(_transpose_back(body[size : 2 * size]))
    values = _floats(_transpose_back(body[2 * size :]))
    return Points(
        list(itertools.accumulate(steps)) if steps_flag else steps,
        list(itertools.accumulate(times)) if times_flag else times,
        values,
    )


def pack_selection(points: Points, indexes: Sequence[int]) -> bytes:
    """Pack the points at `indexes` for an outline or sketch."""
    return b"".join(_POINT.pack(points.steps[index], points.times[index], points.values[index]) for index in indexes)


def unpack_selections(payloads: Iterable[Payload]) -> Points:
    """Return the points of several outlines or sketches, one after the other."""
    data = b"".join(payloads)
    integers = _integers(data)
    return Points(integers[0::3], integers[1::3], _floats(data)[2::3])


def _differences(numbers: Sequence[int]) -> list[int]:
    return [*numbers[:1], *map(operator.sub, numbers[1:], numbers)]


def _try_differences(numbers: Sequence[int]) -> tuple[bool, array[int]]:
    """Return whether these are differences: those between far ends of int64 do not fit it."""
    try:
        return True, array("q", _differences(numbers))
    except OverflowError:
        return False, array("q", numbers)


def _transpose(data: bytes) -> bytes:
    return b"".join(data[place::8] for place in range(8))


def _transpose_back(data: bytes) -> bytes:
    count = len(data) // 8
    numbers = bytearray(len(data))
    for place in range(8):
        numbers[place::8] = data[place * count : (place + 1) * count]
    return bytes(numbers)


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
