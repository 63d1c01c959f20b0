"""Choosing the points of a chart: few, all of them real, and none of the extremes lost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from runs.telemetry.points import Points, extreme_indexes, first_gap

MIN_LIMIT = 5  # first, last, least, greatest and one gap
SKETCH_PARTS = 8  # of a chunk
SECTION_PARTS = 32  # of a section's sketch


def select(points: Points, parts: int) -> tuple[list[int], list[int]]:
    """Choose points that stand for many: the outline, and a sketch of it in parts of equal length.

    Args:
        points: at least one, in chart order.
        parts: how many parts the sketch has.

    Returns:
        Ascending indexes: the outline's are those of the first, last, least and greatest point, the first gap and
        the earliest and latest one (1 to 7); the sketch's are those and the least, greatest and first gap of each
        part (at most 7 + 3 × parts).
    """
    ends = set(_ends(points.times))
    telling = sorted(_telling_in_parts(points.values, 0, len(points), parts))
    values = [points.values[index] for index in telling]
    outline = ends.union(telling[place] for place in _telling_indexes(values, 0, len(values)))
    return sorted(outline), sorted(ends.union(telling))


def thin(values: Sequence[float], limit: int) -> Sequence[int]:
    """Return ascending indexes of at most `limit` values, always with first, last, least, greatest, and gaps.

    The values between first and last are cut into parts of equal length; each keeps its least and greatest
    finite value and, where there are any, the first that is NaN or infinite.

    Args:
        values: float64 in chart order, shape (n,).
        limit: at least 5.

    Raises:
        ValueError: limit below 5.

    Source: min-max buckets as in MinMaxLTTB, Van Der Donckt et al. 2023, with a mark for gaps.
    """
    if limit < MIN_LIMIT:
        raise ValueError(f"limit is at least {MIN_LIMIT}")
    count = len(values)
    if count <= limit:
        return range(count)
    each = 2 if first_gap(values) is None else 3
    return sorted({0, count - 1, *_telling_in_parts(values, 1, count - 1, (limit - 2) // each)})


def _ends(times: Sequence[int]) -> Iterator[int]:
    """Yield the first and last index, and those of the earliest and latest time: the ends of a chart over time."""
    last = len(times) - 1
    earliest, latest = min(times), max(times)
    yield 0
    yield last
    if times[0] != earliest:
        yield times.index(earliest)
    if times[last] != latest:
        yield next(index for index in range(last, -1, -1) if times[index] == latest)


def _telling_in_parts(values: Sequence[float], start: int, stop: int, count: int) -> set[int]:
    found: set[int] = set()
    if not math.isfinite(sum(values)):
        for first, last in _parts(start, stop, count):
            found.update(_telling_indexes(values, first, last))
        return found
    for first, last in _parts(start, stop, count):  # the usual case, without a look for gaps
        part = values[first:last]
        found.add(first + part.index(min(part)))
        found.add(first + part.index(max(part)))
    return found


def _telling_indexes(values: Sequence[float], start: int, stop: int) -> Iterator[int]:
    part = values[start:stop]
    for index in (*(extreme_indexes(part) or ()), first_gap(part)):
        if index is not None:
            yield start + index


def _parts(start: int, stop: int, count: int) -> Iterator[tuple[int, int]]:
    """Cut a range of indexes into at most `count` parts of nearly equal length, none empty."""
    length = stop - start
    edges = [start + length * place // count for place in range(count + 1)]
    for first, last in itertools.pairwise(edges):
        if first < last:
            yield first, last
