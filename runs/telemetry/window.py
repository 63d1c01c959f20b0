"""The part of a run's metrics that was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from django.db.models import QuerySet

from runs.models import MetricSection
from runs.telemetry.points import INT64_MAX, INT64_MIN, Points

Span = tuple[int, int]  # first and last, both included
ALL: Span = (INT64_MIN, INT64_MAX)


@dataclass(frozen=True, slots=True)
class Window:
    """First and last step, and first and last time (ms since 1970 UTC), all included."""

    steps: Span = ALL
    times: Span = ALL

    @classmethod
    def between(
        cls, first_step: int | None, last_step: int | None, first_time: int | None, last_time: int | None
    ) -> Self:
        """Make a window; None is open, and what int64 cannot hold is moved to its end."""
        return cls(_span(first_step, last_step), _span(first_time, last_time))

    @classmethod
    def around(cls, windows: Iterable[Window]) -> Self:
        """Return the least window that holds all of these; needs one."""
        steps, times = zip(*((window.steps, window.times) for window in windows), strict=True)
        return cls(_hull(steps), _hull(times))

    def after(self, began: int, first: int | None, last: int | None) -> Window:
        """Return the part from `first` to `last` ms after `began`; None is open."""
        begin, end = _span(None if first is None else began + first, None if last is None else began + last)
        return Window(self.steps, (max(self.times[0], begin), min(self.times[1], end)))

    def narrowed(self, last_step: int) -> Window:
        """Return the window up to `last_step`."""
        return Window((self.steps[0], min(self.steps[1], last_step)), self.times)

    def has_all(self, steps: Span, times: Span) -> bool:
        """Tell whether all points with steps and times between these lie inside."""
        return (
            self.steps[0] <= steps[0]
            and steps[1] <= self.steps[1]
            and self.times[0] <= times[0]
            and times[1] <= self.times[1]
        )

    def has_none(self, steps: Span, times: Span) -> bool:
        """Tell whether all points with steps and times between these lie outside."""
        return (
            steps[1] < self.steps[0] or self.steps[1] < steps[0] or times[1] < self.times[0] or self.times[1] < times[0]
        )

    def of(self, points: Points) -> Points:
        """Return the points inside, in their order."""
        steps, times = points.steps, points.times
        if self == EVERYTHING or self.has_all((min(steps), max(steps)), (min(times), max(times))):
            return points
        first, last = self.steps
        begin, end = self.times
        return points.at([i for i, step in enumerate(steps) if first <= step <= last and begin <= times[i] <= end])

    def rows(self, rows: QuerySet[MetricSection]) -> QuerySet[MetricSection]:
        """Keep the sections that may have points inside."""
        if self.steps != ALL:
            rows = rows.filter(first_step__lte=self.steps[1], last_step__gte=self.steps[0])
        if self.times != ALL:
            rows = rows.filter(first_time__lte=self.times[1], last_time__gte=self.times[0])
        return rows


EVERYTHING = Window()


def _span(first: int | None, last: int | None) -> Span:
    return _bound(first, INT64_MIN), _bound(last, INT64_MAX)


def _bound(value: int | None, default: int) -> int:
    return default if value is None else min(max(value, INT64_MIN), INT64_MAX)


def _hull(spans: tuple[Span, ...]) -> Span:
    return min(first for first, _ in spans), max(last for _, last in spans)
