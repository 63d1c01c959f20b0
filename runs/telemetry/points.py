"""Points of one metric as three columns, and what is newest, least and greatest among them."""

from __future__ import annotations

import itertools
import math
import operator
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from runner.protocol import MetricColumns

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

Columns: TypeAlias = Mapping[str, Sequence[Any]] | MetricColumns


@dataclass(frozen=True, slots=True)
class Points:
    """Columns of equal length: steps (int64), times (int64, ms since 1970 UTC), values (float64, also NaN, ±inf)."""

    steps: Sequence[int]
    times: Sequence[int]
    values: Sequence[float]

    def __len__(self) -> int:
        return len(self.steps)

    @classmethod
    def checked(cls, columns: Columns) -> Self:
        """Take `step`, `time` and `value` of an ingest call.

        Raises:
            ValueError: the columns differ in length, or a number does not fit int64 or float64.
        """
        steps, times, values = columns["step"], columns["time"], columns["value"]
        if not len(steps) == len(times) == len(values):
            raise ValueError("step, time and value differ in length")
        try:
            return cls(
                array("q", steps),
                array("q", times),
                array("d", values),  # type: ignore[arg-type]  # refuses JSON's words for NaN, as it should
            )
        except (OverflowError, TypeError) as error:
            raise ValueError("step and time must fit int64, value float64") from error

    def part(self, start: int, stop: int) -> Points:
        """Return the points from index `start` to before `stop`."""
        return Points(self.steps[start:stop], self.times[start:stop], self.values[start:stop])

    def sorted_parts(self, size: int) -> Iterator[Points]:
        """Yield parts of at most `size` points, by step, then time, then the order they came in."""
        ordered = self.sorted()
        for start in range(0, len(self), size):
            yield ordered.part(start, start + size)

    def sorted(self) -> Points:
        """Return the points by step, then time, then the order they are in."""
        if is_ascending(self.steps):
            return self
        places = list(zip(self.steps, self.times, strict=True))
        return self.at(sorted(range(len(self)), key=places.__getitem__))

    @classmethod
    def joined(cls, parts: Iterable[Points]) -> Points:
        """Return the points of all parts, one after the other."""
        steps, times, values = array("q"), array("q"), array("d")
        for part in parts:
            steps.extend(part.steps)
            times.extend(part.times)
            values.extend(part.values)
        return cls(steps.tolist(), times.tolist(), values.tolist())

    def at(self, indexes: Sequence[int]) -> Points:
        """Return the points at `indexes`, in their order."""
        return Points(
            [self.steps[i] for i in indexes], [self.times[i] for i in indexes], [self.values[i] for i in indexes]
        )


def is_ascending(numbers: Sequence[int]) -> bool:
    """Tell whether each number is greater than the one before."""
    return all(map(operator.lt, numbers, itertools.islice(numbers, 1, None)))


def rank(value: float) -> tuple[bool, float]:
    """Order float64 with NaN below all numbers."""
    return (False, 0.0) if math.isnan(value) else (True, value)


def newest_index(points: Points) -> int:
    """Return the index of the point with the greatest (step, time, value), NaN below numbers; needs one point."""
    steps, times, values = points.steps, points.times, points.values
    last = max(steps)
    if steps.count(last) == 1:
        return steps.index(last)
    ties = (index for index, step in enumerate(steps) if step == last)
    return max(ties, key=lambda index: (times[index], rank(values[index])))


def extreme_indexes(values: Sequence[float]) -> tuple[int, int] | None:
    """Return the indexes of the least and of the greatest finite value, each the first; None without finite ones."""
    if values and math.isfinite(sum(values)):  # then each one is; a sum that overflows takes the slow way
        return values.index(min(values)), values.index(max(values))
    finite = [index for index, value in enumerate(values) if math.isfinite(value)]
    if not finite:
        return None
    return min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)


def first_gap(values: Sequence[float]) -> int | None:
    """Return the index of the first value that is NaN or infinite; None when all are finite."""
    if math.isfinite(sum(values)):
        return None
    return next((index for index, value in enumerate(values) if not math.isfinite(value)), None)
