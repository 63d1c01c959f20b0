"""The parts of an ordered list of runs: those with a value first, then those without, each walked along an index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.lookups import Exact, GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual

from runs.comparing import newest_of, values_at
from runs.conditions import METRICS, Place
from runs.ordering import NULLABLE, Order, Position
from runs.querysets import RunQuerySet

FEW = WINDOW = 500  # runs; looking at as many takes about 2 ms for each condition


class Part(Protocol):
    """A part of a list; `rows` are the runs of the whole list, without order."""

    def take(self, position: Position | None, skip: int, size: int) -> list[Position]:
        """Return the `size` positions after the first `skip` behind `position`."""

    def count(self) -> int:
        """Return how many runs the part has."""


@dataclass(frozen=True)
class ColumnPart:
    """Runs by a column of theirs; equal ones newest first."""

    rows: RunQuerySet
    column: str
    is_descending: bool

    def take(self, position: Position | None, skip: int, size: int) -> list[Position]:
        """Walk the column's index."""
        column = F(self.column)
        known = self._known()
        if position is not None:
            known = known.filter(behind(column, F("pk"), position, down=self.is_descending, ties_down=True))
        ordered = known.order_by(column.desc() if self.is_descending else column.asc(), "-pk")
        found = ordered.values_list(self.column, "pk")[skip : skip + size]
        return [Position(value, run_id) for value, run_id in found]

    def count(self) -> int:
        """Count the runs with a value."""
        return self._known().count()

    def _known(self) -> RunQuerySet:
        return self.rows.filter(completed_at__isnull=False) if self.column in NULLABLE else self.rows


@dataclass(frozen=True)
class NotEndedPart:
    """Runs that have not ended, newest first: the end of a list ordered by `completed_at`."""

    rows: RunQuerySet

    def take(self, position: Position | None, skip: int, size: int) -> list[Position]:
        """Walk the ends that are not known."""
        live = self.rows.filter(completed_at__isnull=True)
        if position is not None:
            live = live.filter(pk__lt=position.run_id)
        found = live.order_by("-pk").values_list("pk", flat=True)[skip : skip + size]
        return [Position(None, run_id) for run_id in found]

    def count(self) -> int:
        """Count the live runs."""
        return self.rows.filter(completed_at__isnull=True).count()


@dataclass(frozen=True)
class MetricPart:
    """Runs by the newest value of a metric; equal ones by age, in the direction of the order. `rows` None: all runs."""

    rows: RunQuerySet | None
    metric: str
    is_descending: bool

    def take(self, position: Position | None, skip: int, size: int) -> list[Position]:
        """Walk the index of values."""
        down = self.is_descending
        known = self._known()
        if position is not None:
            known = known.filter(behind(F("value"), F("run_id"), position, down=down, ties_down=down))
        ordered = known.order_by(*(("-value", "-run_id") if down else ("value", "run_id")))
        found = ordered.values_list("value", "run_id")[skip : skip + size]
        return [Position(value, run_id) for value, run_id in found]

    def count(self) -> int:
        """Count the runs with a finite value."""
        return self._known().count()

    def _known(self) -> QuerySet[Any]:
        known = newest_of(self.metric)
        if self.rows is None:
            return known
        return known.filter(asked_of_each(Q(run__in=self.rows.values("pk"))))


@dataclass(frozen=True)
class WithoutMetricPart:
    """Runs without a finite value of a metric, newest first."""

    rows: RunQuerySet
    metric: str

    def take(self, position: Position | None, skip: int, size: int) -> list[Position]:
        """Look at the newest WINDOW runs; when too few of them are without, walk on."""
        rows = self.rows if position is None else self.rows.filter(pk__lt=position.run_id)
        if skip + size <= WINDOW:
            newest = list(rows.order_by("-pk").values_list("pk", flat=True)[:WINDOW])
            known = values_at(Place(METRICS, self.metric), newest)
            without = [Position(None, run_id) for run_id in newest if run_id not in known]
            if len(without) >= skip + size or len(newest) < WINDOW:
                return without[skip : skip + size]
        found = self._without(rows).order_by("-pk").values_list("pk", flat=True)[skip : skip + size]
        return [Position(None, run_id) for run_id in found]

    def count(self) -> int:
        """Count the runs without."""
        return self._without(self.rows).count()

    def _without(self, rows: RunQuerySet) -> RunQuerySet:
        known = newest_of(self.metric).values("run_id")
        return rows.exclude(asked_of_each(Q(pk__in=known)))


def parts_of(order: Order, rows: RunQuerySet, *, is_all: bool) -> list[Part]:
    """Return the parts of the list of `rows` in `order`; positions of the last alone may have no value.

    `is_all` tells that `rows` are all runs, so that there is nothing to compare with.
    """
    if order.metric:
        ranked = MetricPart(None if is_all else rows, order.metric, order.is_descending)
        return [ranked, WithoutMetricPart(rows, order.metric)]
    column = ColumnPart(rows, order.column, order.is_descending)
    return [column, NotEndedPart(rows)] if order.column in NULLABLE else [column]


def behind(value: F, key: F, position: Position, *, down: bool, ties_down: bool) -> Q:
    """Return what keeps the rows behind `position`: a range of the index, and within equal values one of keys."""
    reached, passed = (LessThanOrEqual, LessThan) if down else (GreaterThanOrEqual, GreaterThan)
    later = (LessThan if ties_down else GreaterThan)(key, position.run_id)
    is_tie = Q(Exact(value, position.value)) & Q(later)
    return Q(reached(value, position.value)) & (Q(passed(value, position.value)) | is_tie)


def asked_of_each(condition: Q) -> Case:
    """Return a condition that is asked of each row on the way and never used to find rows.

    In a CASE, a query behind IN is answered once and kept as a set to look into, by SQLite and by PostgreSQL. Bare,
    it may become the start of the search, or a loop within the loop over the rows: 1.2 s instead of 10 ms.
    """
    return Case(When(condition, then=Value(True)), default=Value(False))  # noqa: FBT003 - Django's own signature
