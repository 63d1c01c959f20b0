"""A line of a few points as SVG attributes: how a metric went, without axes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from runs.telemetry.points import Points

WIDTH, HEIGHT = 120, 30  # units of the viewBox
_MARGIN = 2  # of them above and below, so that the stroke is not cut


@dataclass(frozen=True)
class Sparkline:
    """`parts` are values of `points` attributes, one for each stretch without a gap; first and last are values."""

    parts: list[str]
    first: float
    last: float
    width: int = WIDTH
    height: int = HEIGHT


def draw_sparkline(points: Points) -> Sparkline | None:
    """Return the line of points in order of step; NaN and infinities are gaps, None when there is nothing else."""
    values = [value for value in points.values if math.isfinite(value)]
    if not values:
        return None
    return Sparkline(list(_parts(points, min(values), max(values))), values[0], values[-1])


def _parts(points: Points, low: float, high: float) -> Iterator[str]:
    first, length = points.steps[0], (points.steps[-1] - points.steps[0]) or 1
    room = HEIGHT - 2 * _MARGIN
    for is_finite, group in groupby(
        zip(points.steps, points.values, strict=True), key=lambda point: math.isfinite(point[1])
    ):
        if is_finite:
            # Halved before the difference is taken, as the whole range of floats has no finite length.
            places = [
                ((step - first) / length * WIDTH, (value / 2 - low / 2) / ((high / 2 - low / 2) or 1))
                for step, value in group
            ]
            yield " ".join(f"{across:.1f},{_MARGIN + (1 - up) * room:.1f}" for across, up in places)
