"""How points of chunks and sections become bytes and back. All integers and floats are little-endian.

A chunk of points: how steps are kept (uint8, `_Form`), how times are (bits 0 and 1 of a uint8) and how values are (its
other bits: digits after the point plus 1, and whole numbers; 0 for float64), points (uint32), then zlib level 1 over
the three columns, each with its bytes transposed: first bytes of all numbers, second bytes, … What is equal lies
together. Whole numbers of values have 8 bytes each, or 4 where bit 2 says so.

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
from enum import IntEnum
from typing import Any, Literal, NamedTuple, TypeAlias

from runs.telemetry.points import INT64_MAX, INT64_MIN, Points

Payload: TypeAlias = bytes | memoryview

_CHUNK_HEAD = struct.Struct("<BBI")
_FIRST = struct.Struct("<q")
_EVEN = struct.Struct("<qq")
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


class _Form(IntEnum):
    """How a column of steps or times is kept."""

    NUMBERS = 0  # int64, where their differences are greater than that
    DIFFERENCES = 1  # int64, after the first number
    SHORT_DIFFERENCES = 2  # int32, after the first number as int64
    EVEN = 3  # the first number and the difference between all, int64


def pack_points(points: Points) -> bytes:
    """Pack the points of a chunk."""
    step_form, steps = _pack_integers(points.steps)
    time_form, times = _pack_integers(points.times)
    value_form, values = _pack_values(points.values)
    body = zlib.compress(b"".join((steps, times, values)), _ZLIB_LEVEL)
    return _CHUNK_HEAD.pack(step_form, time_form | value_form << 2, len(points)) + body


def unpack_points(payload: Payload) -> Points:
    """Undo `pack_points`."""
    step_form, forms, count = _CHUNK_HEAD.unpack_from(payload)
    body = zlib.decompress(memoryview(payload)[_CHUNK_HEAD.size :])
    steps, rest = _unpack_integers(_Form(step_form), body, count)
    times, rest = _unpack_integers(_Form(forms & 3), rest, count)
    return Points(steps, times, _unpack_values(forms >> 2, rest))


def pack_selection(points: Points, indexes: Iterable[int]) -> bytes:
    """Pack the points at `indexes` for an outline or sketch."""
    steps, times, values = points.steps, points.times, points.values
    pack = _POINT.pack
    return b"".join([pack(steps[index], times[index], values[index]) for index in indexes])


def unpack_selections(payloads: Iterable[Payload]) -> Points:
    """Return the points of several outlines or sketches, one after the other."""
    data = b"".join(payloads)
    integers = integers_of(data).tolist()
    return Points(integers[0::3], integers[1::3], _numbers("d", data)[2::3].tolist())


def pack_heads(heads: Sequence[ChunkHead]) -> bytes:
    """Pack the heads of a section's chunks."""
    return bytes_of(array("q", itertools.chain.from_iterable(zip(*heads, strict=True))))


def unpack_heads(payload: Payload) -> list[ChunkHead]:
    """Undo `pack_heads`."""
    numbers = integers_of(payload).tolist()
    count = len(numbers) // len(ChunkHead._fields)
    columns = [numbers[start : start + count] for start in range(0, len(numbers), count or 1)]
    return list(map(ChunkHead._make, zip(*columns, strict=True)))


def _pack_integers(numbers: Sequence[int]) -> tuple[_Form, bytes]:
    numbers = list(numbers)
    differences = list(map(operator.sub, numbers[1:], numbers))
    if not differences or differences.count(differences[0]) == len(differences):
        even = differences[0] if differences else 0
        if INT64_MIN <= even <= INT64_MAX:
            return _Form.EVEN, _EVEN.pack(numbers[0], even)
    try:
        return _Form.SHORT_DIFFERENCES, _FIRST.pack(numbers[0]) + _transpose(array("i", differences))
    except OverflowError:
        pass
    try:
        return _Form.DIFFERENCES, _transpose(array("q", [numbers[0], *differences]))
    except OverflowError:
        return _Form.NUMBERS, _transpose(array("q", numbers))


def _unpack_integers(form: _Form, data: bytes, count: int) -> tuple[list[int], bytes]:
    """Return the numbers and the rest of `data`."""
    if form == _Form.EVEN:
        first, even = _EVEN.unpack_from(data)
        numbers = list(range(first, first + count * even, even)) if even else [first] * count
        return numbers, data[_EVEN.size :]
    if form == _Form.SHORT_DIFFERENCES:
        end = _FIRST.size + 4 * (count - 1)
        differences = _numbers("i", _transpose_back(data[_FIRST.size : end], 4))
        return list(itertools.accumulate(differences, initial=_FIRST.unpack_from(data)[0])), data[end:]
    numbers = integers_of(_transpose_back(data[: 8 * count], 8)).tolist()
    return list(itertools.accumulate(numbers)) if form == _Form.DIFFERENCES else numbers, data[8 * count :]


def _pack_values(values: Sequence[float]) -> tuple[int, bytes]:
    """Return the form (bit 0: whole numbers of 4 bytes; other bits: digits after the point plus 1) and the bytes.

    What trainers round to a few digits takes a third of the room as whole numbers. Only taken when these give back
    the same floats.
    """
    digits = _digits_after_point(values)
    numbers = None if digits is None else _as_whole_numbers(values, 10.0**digits)
    if digits is None or numbers is None:
        return 0, _transpose(array("d", values))
    try:
        return (digits + 1) << 1 | 1, _transpose(array("i", numbers))
    except OverflowError:
        return (digits + 1) << 1, _transpose(array("q", numbers))


def _unpack_values(form: int, data: bytes) -> list[float]:
    if form == 0:
        return _numbers("d", _transpose_back(data, 8)).tolist()
    is_short, scale = form & 1, 10.0 ** ((form >> 1) - 1)
    numbers = _numbers("i", _transpose_back(data, 4)) if is_short else integers_of(_transpose_back(data, 8))
    return [number / scale for number in numbers]


def _as_whole_numbers(values: Sequence[float], scale: float) -> list[int] | None:
    """Return each value times `scale`, None where some value is not exactly such a number."""
    try:
        numbers = [round(value * scale) for value in values]
    except (OverflowError, ValueError):  # infinite or NaN
        return None
    is_exact = [number / scale for number in numbers] == list(values) and INT64_MIN <= min(numbers) <= max(numbers)
    return numbers if is_exact and max(numbers) <= INT64_MAX and not _has_minus_zero(values) else None


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


def _transpose(numbers: array[int] | array[float]) -> bytes:
    data, size = bytes_of(numbers), numbers.itemsize
    return b"".join([data[place::size] for place in range(size)])


def _transpose_back(data: bytes, size: int) -> bytes:
    count = len(data) // size
    numbers = bytearray(len(data))
    for place in range(size):
        numbers[place::size] = data[place * count : (place + 1) * count]
    return bytes(numbers)


def bytes_of(numbers: array[int] | array[float]) -> bytes:
    """Return the numbers as bytes."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def integers_of(data: Payload) -> array[int]:
    """Return bytes as int64."""
    return _numbers("q", data)


def _numbers(typecode: Literal["i", "q", "d"], data: Payload) -> array[Any]:
    numbers: array[Any] = array(typecode)
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
