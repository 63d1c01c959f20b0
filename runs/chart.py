"""A small chart as SVG attributes, drawn on the server: it needs no script."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runs.models import Run
from runs.querysets import RunQuerySet
from runs.telemetry.lineage import read_stories
from runs.telemetry.series import Series, SeriesRequest, read_metrics

WIDTH, HEIGHT = 600, 180  # units of the viewBox
MAX_LINES = 4
_POINTS = 300  # of a line: one for every two units


@dataclass(frozen=True)
class ChartLine:
    """One metric, or one run: `parts` are values of `points` attributes, one for each stretch without a gap."""

    key: str
    parts: list[str]


@dataclass(frozen=True)
class Chart:
    """Lines over one scale: `low` to `high` upwards, `first_step` to `last_step` to the right."""

    lines: list[ChartLine]
    low: float
    high: float
    first_step: int
    last_step: int
    width: int = WIDTH
    height: int = HEIGHT


def read_chart(run: Run, keys: Sequence[str], *, ancestors: RunQuerySet) -> Chart | None:
    """Return the chart of at most MAX_LINES metrics; None when they have no finite value yet.

    That of a resumed run begins with those of `ancestors` that it goes on from.
    """
    stories = read_stories(Run.objects.filter(pk=run.pk), hidden=False, ancestors=ancestors)
    (metrics,) = read_metrics(stories, SeriesRequest(keys=list(keys)[:MAX_LINES], limit=_POINTS))
    return draw_chart(metrics.series)


def read_overlay(runs: Sequence[Run], key: str) -> Chart | None:
    """Return the chart of one metric of several runs, a line for each in their order, empty where a run has none.

    None when no run has a finite value yet.
    """
    stories = read_stories(Run.objects.filter(pk__in=[run.pk for run in runs]), hidden=False)
    found = {one.story.uid: one.series for one in read_metrics(stories, SeriesRequest(keys=[key], limit=_POINTS))}
    return draw_chart({run.uid: found.get(run.uid, {}).get(key, _NOTHING) for run in runs})


_NOTHING = Series([], [], [], [], total=0, thinned=False)


def draw_chart(series: dict[str, Series]) -> Chart | None:
    """Return the chart of the series; NaN and infinities are gaps, None when there is nothing else."""
    values = [value for one in series.values() for value in one.value if math.isfinite(value)]
    if not values:
        return None
    steps = [step for one in series.values() for step in one.step]
    scale = _Scale(min(steps), max(steps), min(values), max(values))
    lines = [ChartLine(key, list(_parts(one, scale))) for key, one in series.items()]
    return Chart(lines, scale.low, scale.high, scale.first_step, scale.last_step)


@dataclass(frozen=True)
class _Scale:
    first_step: int
    last_step: int
    low: float
    high: float

    def place(self, step: int, value: float) -> str:
        across = (step - self.first_step) / ((self.last_step - self.first_step) or 1)
        # Halved before the difference is taken, as the whole range of floats has no finite length.
        up = (value / 2 - self.low / 2) / ((self.high / 2 - self.low / 2) or 1)
        return f"{across * WIDTH:.1f},{(1 - up) * HEIGHT:.1f}"


def _parts(series: Series, scale: _Scale) -> Iterator[str]:
    part: list[str] = []
    for step, value in zip(series.step, series.value, strict=True):
        if math.isfinite(value):
            part.append(scale.place(step, value))
        elif part:
            yield " ".join(part)
            part = []
    if part:
        yield " ".join(part)
