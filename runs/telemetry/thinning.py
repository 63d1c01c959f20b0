"""Choosing the points of a chart: few, all of them real, and none of the extremes lost."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from runs.telemetry.points import extreme_indexes, first_gap

MIN_LIMIT = 5  # first, last, least, greatest and one gap
_SKETCH_SECTIONS = 8


def outline_indexes(values: Sequence[float]) -> list[int]:
    """Return ascending indexes of first, last, least and greatest value and of the first gap: 1 to 5 of them."""
    kept = {0, len(values) - 1, *_telling_indexes(values, 0, len(values))}
    return sorted(kept)


def sketch_indexes(values: Sequence[float]) -> list[int]:
    """Return ascending indexes of the outline and of the extremes of 8 sections of equal length: at most 21."""
    kept = set(outline_indexes(values))
    for start, stop in _sections(0, len(values), _SKETCH_SECTIONS):
        extremes = extreme_indexes(values[start:stop])
        kept.update(start + index for index in extremes or ())
    return sorted(kept)


def thin(values: Sequence[float], limit: int) -> Sequence[int]:
    """Return ascending indexes of at most `limit` values, always with first, last, least, greatest, and gaps.

    The values between first and last are cut into sections of equal length; each keeps its least and greatest
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
    kept = {0, count - 1}
    each = 2 if first_gap(values) is None else 3
    for start, stop in _sections(1, count - 1, (limit - 2) // each):
        kept.update(_telling_indexes(values, start, stop))
    return sorted(kept)


def _telling_indexes(values: Sequence[float], start: int, stop: int) -> Iterator[int]:
    section = values[start:stop]
    for index in (*(extreme_indexes(section) or ()), first_gap(section)):
        if index is not None:
            yield start + index


def _sections(start: int, stop: int, count: int) -> Iterator[tuple[int, int]]:
    """Cut a range of indexes into at most `count` parts of nearly equal length, none empty."""
    length = stop - start
    edges = [start + length * place // count for place in range(count + 1)]
    for first, last in itertools.pairwise(edges):
        if first < last:
            yield first, last
