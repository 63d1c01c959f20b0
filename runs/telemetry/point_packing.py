"""How points of chunks and sections become bytes and back. All integers and floats are little-endian.

A chunk of points: a byte that tells whether steps are differences (bit 0), one that tells the same of times (bit 0)
and how values are kept (the other bits: 0 as float64, else digits after the point plus 1, and whole numbers), points
(uint32), then zlib level 1 over the three columns of 8 bytes a number, each with its bytes transposed: first bytes of
all numbers, second bytes, … What is equal lies together.

Selected points (outlines and sketches): step, time, value of one point after the other, 24 bytes each.

Heads of chunks: the columns of `ChunkHead`, int64, one after the other.

Payloads read from PostgreSQL are memoryviews, from SQLite bytes; all functions take both.
"""

from __future__ import annotations

import itertools
import math
import operator
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from runs.telemetry.points import Points

Payload: TypeAlias = bytes | memoryview

_CHUNK_HEAD = struct.Struct("<BBI")
_POINT = struct.Struct("<qqd")
POINT_BYTES = _POINT.size
_ZLIB_LEVEL = 1  # higher levels cost more time than they save space
_MOST_DIGITS = 12  # after the point; values with more are not worth the attempt
_SAMPLES = 16  # values that are looked at before all are


class ChunkHead(NamedTuple):
    """Where a chunk's points lie: its id, points, steps and times, and how many points its outline has."""

    id: int
    points: int
    first_step: int
    last_step: int
    first_time: int
    last_time: int
    outlined: int


def pack_points(points: Points) -> bytes:
    """Pack the points of a chunk."""
    steps_flag, steps = _try_differences(points.steps)
    times_flag, times = _try_differences(points.times)
    digits, values = _try_decimals(points.values)
    body = zlib.compress(b"".join(map(_transpose, (steps, times, values))), _ZLIB_LEVEL)
    return _CHUNK_HEAD.pack(steps_flag, times_flag | digits << 1, len(points)) + body


def unpack_points(payload: Payload) -> Points:
    """Undo `pack_points`."""
    steps_flag, times_flag, count = _CHUNK_HEAD.unpack_from(payload)
    body = zlib.decompress(memoryview(payload)[_CHUNK_HEAD.size :])
    size = 8 * count
    steps = integers_of(_transpose_back(body[:size])).tolist()
    times = integers_of(_transpose_back(body[size : 2 * size])).tolist()
    values = _transpose_back(body[2 * size :])
    digits = times_flag >> 1
    return Points(
        list(itertools.accumulate(steps)) if steps_flag else steps,
        list(itertools.accumulate(times)) if times_flag & 1 else times,
        _from_decimals(values, digits - 1) if digits else _floats(values).tolist(),
    )


def pack_selection(points: Points, indexes: Iterable[int]) -> bytes:
    """Pack the points at `indexes` for an outline or sketch."""
    steps, times, values = points.steps, points.times, points.values
    pack = _POINT.pack
    return b"".join([pack(steps[index], times[index], values[index]) for index in indexes])


def unpack_selections(payloads: Iterable[Payload]) -> Points:
    """Return the points of several outlines or sketches, one after the other."""
    data = b"".join(payloads)
    integers = integers_of(data).tolist()
    return Points(integers[0::3], integers[1::3], _floats(data)[2::3].tolist())


def pack_heads(heads: Sequence[ChunkHead]) -> bytes:
    """Pack the heads of a section's chunks."""
    return bytes_of(array("q", itertools.chain.from_iterable(zip(*heads, strict=True))))


def unpack_heads(payload: Payload) -> list[ChunkHead]:
    """Undo `pack_heads`."""
    numbers = integers_of(payload).tolist()
    count = len(numbers) // len(ChunkHead._fields)
    columns = [numbers[start : start + count] for start in range(0, len(numbers), count or 1)]
    return list(map(ChunkHead._make, zip(*columns, strict=True)))


def _try_differences(numbers: Sequence[int]) -> tuple[bool, array[int]]:
    """Return whether these are differences: those between far ends of int64 do not fit it."""
    try:
        return True, array("q", [*numbers[:1], *map(operator.sub, numbers[1:], numbers)])
    except OverflowError:
        return False, array("q", numbers)


def _try_decimals(values: Sequence[float]) -> tuple[int, array[int] | array[float]]:
    """Return digits after the point plus 1 and the values as whole numbers, or 0 and the values.

    What trainers round to a few digits takes a third of the room so. Only taken when it gives back the same floats.
    """
    digits = _digits_after_point(values)
    if digits is not None:
        scale = 10.0**digits
        try:
            numbers = array("q", [round(value * scale) for value in values])
        except (OverflowError, ValueError):  # too great, infinite or NaN
            return 0, array("d", values)
        if all(map(operator.eq, [number / scale for number in numbers], values)) and not _has_minus_zero(values):
            return digits + 1, numbers
    return 0, array("d", values)


def _digits_after_point(values: Sequence[float]) -> int | None:
    """Return the most digits that some of the values have; None when those are too many."""
    most = 0
    for value in values[:: len(values) // _SAMPLES + 1]:
        exponent = Decimal(repr(value)).as_tuple().exponent
        if not isinstance(exponent, int) or exponent < -_MOST_DIGITS:
            return None
        most = max(most, -exponent)
    return most


def _has_minus_zero(values: Sequence[float]) -> bool:
    return 0.0 in values and any(value == 0 and math.copysign(1, value) < 0 for value in values)


def _from_decimals(data: bytes, digits: int) -> list[float]:
    scale = 10.0**digits
    return [number / scale for number in integers_of(data)]


def _transpose(numbers: array[int] | array[float]) -> bytes:
    data = bytes_of(numbers)
    return b"".join([data[place::8] for place in range(8)])


def _transpose_back(data: bytes) -> bytes:
    count = len(data) // 8
    numbers = bytearray(len(data))
    for place in range(8):
        numbers[place::8] = data[place * count : (place + 1) * count]
    return bytes(numbers)


def bytes_of(numbers: array[int] | array[float]) -> bytes:
    """Return the numbers as bytes."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def integers_of(data: Payload) -> array[int]:
    """Return bytes as int64."""
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
