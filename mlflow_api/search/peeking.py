"""Candidates for the first rows of an order, read from an index: most answers are found among few of them.

A database that is left to choose sorts all runs for the first fifty. So the runs that come first by the leading column
alone are taken from its index, and only those are looked at. What an index says of rows that were not taken is a bound:
they stand at it or behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import F
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from mlflow_api.search.columns import MANAGED_START, MAX_FLOAT, Milliseconds
from mlflow_api.search.ordering import NEWEST_RUNS, Ordering, Place, Sort
from mlflow_api.search.vocabulary import Entity
from runs.epoch import EPOCH
from runs.models import Run, RunMetric, RunTracking
from runs.tracking.external import MAX_TIME_MS


@dataclass(frozen=True)
class Candidates:
    """Keys of runs, and what the leading value of all others is at best; None when there are no others with a value.

    `is_all` tells that there are no others at all.
    """

    keys: list[int]
    bound: float | None
    is_all: bool = False

    def are_before(self, sort: Sort, place: Place) -> bool:
        """Tell whether no other run can come before a place."""
        rank, value = place.values[0]
        if self.is_all or (self.bound is None and rank == 0):
            return True
        if rank or self.bound is None:
            return False
        return bool(value > self.bound if sort.is_descending else value < self.bound)


def find_candidates(ordering: Ordering, after: Place | None, size: int) -> Candidates | None:
    """Return some `size` runs that come first behind `after` by the leading column; None without an index for it."""
    sort = ordering.sorts[0]
    rank, value = (0, None) if after is None else after.values[0]
    if rank:
        return None
    if sort.ident.entity == Entity.METRIC:
        return _by_metric(sort, value, size)
    return _by_start(sort, value, size) if sort.ident == NEWEST_RUNS.ident else None


def _by_metric(sort: Sort, reached: float | None, size: int) -> Candidates:
    """Walk the index of newest values; the infinities have one of their own."""
    rows = RunMetric.objects.filter(key=sort.ident.key)
    worst = -MAX_FLOAT if sort.is_descending else MAX_FLOAT
    finite = rows.filter(value__isnull=False)
    order = ("-value", "-run_id") if sort.is_descending else ("value", "run_id")
    if reached is not None:
        compare = LessThanOrEqual if sort.is_descending else GreaterThanOrEqual
        finite = finite.filter(compare(F("value"), reached))
    special = {"Infinity": MAX_FLOAT, "-Infinity": -MAX_FLOAT}
    infinite = rows.filter(value__isnull=True, special__in=special)
    found = [(special[name], run_id) for name, run_id in infinite.values_list("special", "run_id")[:size]]
    if len(found) == size:
        return Candidates([run_id for _, run_id in found], -worst)
    known: Any = finite.order_by(*order).values_list("value", "run_id")[: size - len(found)]
    found += known
    is_cut = len(found) == size
    return Candidates([run_id for _, run_id in found], found[-1][0] if is_cut else None)


def _by_start(sort: Sort, reached: float | None, size: int) -> Candidates:
    """Walk two indexes: external runs start when their client says, managed ones when their scheduler does."""
    down = sort.is_descending
    told = RunTracking.objects.order_by(*(("-start_time", "-run_id") if down else ("start_time", "run_id")))
    managed = Run.objects.filter(is_managed=True)
    managed = managed.order_by(*((MANAGED_START.desc(), "-pk") if down else (MANAGED_START.asc(), "pk")))
    if reached is not None:
        ms = min(max(int(reached), 0), MAX_TIME_MS - 1)
        told = told.filter(**{"start_time__lte" if down else "start_time__gte": ms})
        compare = LessThanOrEqual if down else GreaterThanOrEqual
        # The column has µs, of which ms are the whole part.
        managed = managed.filter(compare(MANAGED_START, EPOCH + timedelta(milliseconds=ms + down)))
    external = list(told.values_list("start_time", "run_id")[:size])
    own = list(managed.annotate(shown=Milliseconds(MANAGED_START)).values_list("shown", "pk")[:size])
    bounds = [found[-1][0] for found in (external, own) if len(found) == size]
    keys = {run_id for _, run_id in (*external, *own)}
    bound = (max if down else min)(bounds, default=None)
    return Candidates(list(keys), bound, is_all=not bounds)
