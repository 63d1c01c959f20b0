"""The part of a run's metrics that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from django.db.models import QuerySet

from runs.models import MetricChunk
from runs.telemetry.points import INT64_MAX, INT64_MIN, Points


@dataclass(frozen=True, slots=True)
class Window:
    """First and last step, and first and last time (ms since 1970 UTC), all included."""

    steps: tuple[int, int]
    times: tuple[int, int]

    @classmethod
    def between(
        cls, first_step: int | None, last_step: int | None, first_time: int | None, last_time: int | None
    ) -> Self:
        """Make a window; None is open, and what int64 cannot hold is moved to its end."""
        return cls(
            (_bound(first_step, INT64_MIN), _bound(last_step, INT64_MAX)),
            (_bound(first_time, INT64_MIN), _bound(last_time, INT64_MAX)),
        )

    def narrowed(self, last_step: int) -> Window:
        """Return the window up to `last_step`."""
        return Window((self.steps[0], min(self.steps[1], last_step)), self.times)

    def has_all(self, steps: tuple[int, int], times: tuple[int, int]) -> bool:
        """Tell whether all points with steps and times between these lie inside."""
        return (
            self.steps[0] <= steps[0]
            and steps[1] <= self.steps[1]
            and self.times[0] <= times[0]
            and times[1] <= self.times[1]
        )

    def has_none(self, steps: tuple[int, int], times: tuple[int, int]) -> bool:
        """Tell whether all points with steps and times between these lie outside."""
        return (
            steps[1] < self.steps[0] or self.steps[1] < steps[0] or times[1] < self.times[0] or self.times[1] < times[0]
        )

    def of(self, points: Points) -> Points:
        """Return the points inside, in their order."""
        steps, times = points.steps, points.times
        if self.has_all((min(steps), max(steps)), (min(times), max(times))):
            return points
        first, last = self.steps
        begin, end = self.times
        return points.at([i for i, step in enumerate(steps) if first <= step <= last and begin <= times[i] <= end])

    def chunks(self, chunks: QuerySet[MetricChunk]) -> QuerySet[MetricChunk]:
        """Keep the chunks that may have points inside."""
        if self.steps != (INT64_MIN, INT64_MAX):
            chunks = chunks.filter(first_step__lte=self.steps[1], last_step__gte=self.steps[0])
        if self.times != (INT64_MIN, INT64_MAX):
            chunks = chunks.filter(first_time__lte=self.times[1], last_time__gte=self.times[0])
        return chunks


def _bound(value: int | None, default: int) -> int:
    return default if value is None else min(max(value, INT64_MIN), INT64_MAX)
