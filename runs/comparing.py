"""Conditions carried out: the runs that fulfil one, and the values that some runs have."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.lookups import (
    Exact,
    GreaterThan,
    GreaterThanOrEqual,
    IsNull,
    LessThan,
    LessThanOrEqual,
    Lookup,
)

from runs.conditions import METRICS, TAGS, Condition, Place
from runs.models import RunMetric, RunParameter, RunTag
from runs.models.tracking import tag_is

Value = float | str | None

_LOOKUPS: dict[str, type[Lookup[Any]]] = {
    "=": Exact,
    "!=": Exact,  # negated
    "<": LessThan,
    "<=": LessThanOrEqual,
    ">": GreaterThan,
    ">=": GreaterThanOrEqual,
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def fulfilling(condition: Condition) -> QuerySet[Any, Any]:
    """Return the rows that fulfil a condition, at most one for each run; each has a `run_id`.

    An index holds name, value and run of each, so that neither finding nor counting them reads a row; of tags, whose
    values may be too long for one, the beginning of the value.
    """
    rows: QuerySet[Any, Any]
    if condition.place.group == METRICS:
        column, rows = "value", RunMetric.objects.filter(key=condition.place.name)
    elif condition.place.group == TAGS:
        column, rows = "value", RunTag.objects.filter(key=condition.place.name)
        if condition.operator == "=":
            return rows.filter(tag_is(str(condition.value)))
    else:
        column = "text" if isinstance(condition.value, str) else "number"
        rows = RunParameter.objects.filter(group=condition.place.group, name=condition.place.name)
    compared = _LOOKUPS[condition.operator](F(column), condition.value)
    known = rows.filter(IsNull(F(column), False))  # noqa: FBT003 - Django's own signature; also what the index is for
    return known.exclude(compared) if condition.operator == "!=" else known.filter(compared)


def values_at(place: Place, run_ids: Iterable[int]) -> dict[int, Value]:
    """Return the newest value of a metric, or the value of a parameter or tag, by run; runs without are left out.

    Nothing is asked of the value in SQL: only the index that begins with the run can serve then, on any database.
    """
    rows: QuerySet[Any, Any]
    if place.group == METRICS:
        rows = RunMetric.objects.filter(run_id__in=run_ids, key=place.name)
        return {run_id: value for run_id, value in rows.values_list("run_id", "value") if value is not None}
    if place.group == TAGS:
        return dict(RunTag.objects.filter(run_id__in=run_ids, key=place.name).values_list("run_id", "value"))
    rows = RunParameter.objects.filter(run_id__in=run_ids, group=place.group, name=place.name)
    found = rows.values_list("run_id", "number", "text")
    return {run_id: number if text is None else text for run_id, number, text in found}


def holds(condition: Condition, value: Value) -> bool:
    """Tell whether a value fulfils a condition; a number never does one on texts, nor a text one on numbers."""
    is_same_kind = value is not None and isinstance(value, str) == isinstance(condition.value, str)
    return is_same_kind and _COMPARISONS[condition.operator](value, condition.value)


def newest_of(metric: str) -> QuerySet[RunMetric]:
    """Return the newest values of a metric that are finite numbers."""
    return RunMetric.objects.filter(key=metric, value__isnull=False)
