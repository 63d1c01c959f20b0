"""Clauses carried out: what keeps the rows that fulfil one, and where few rows can be found at once.

Names and values reach the database as parameters. What a run has of a key is looked up run by run through the index
that begins with the run, so that a condition never decides by itself where the database begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import Combinable
from django.db.models.lookups import Exact, GreaterThan, GreaterThanOrEqual, In, IsNull, LessThan, LessThanOrEqual

from mlflow_api.objects import PARAMETER_RANKS, STATUSES, parameter_text
from mlflow_api.search.columns import (
    PARAMETER_TEXT,
    PROJECT_ATTRIBUTES,
    RUN_ATTRIBUTES,
    SPECIAL,
    ILike,
    Like,
    shown_parameter,
)
from mlflow_api.search.matching import OPERATORS
from mlflow_api.search.reading import Clause, Value
from mlflow_api.search.vocabulary import IS_NOT_NULL, IS_NULL, Entity
from projects.models import ExperimentTag
from runs.conditions import MAX_NAME as MAX_TEXT
from runs.models import Run, RunDataset, RunMetric, RunParameter, RunTag, RunTracking
from runs.models.tracking import tag_is
from runs.tracking.writing import NAME_TAG

Rows = QuerySet[Any, Any]

_LOOKUPS: dict[str, Callable[[Any, Any], Any]] = {
    "=": Exact,
    "<": LessThan,
    "<=": LessThanOrEqual,
    ">": GreaterThan,
    ">=": GreaterThanOrEqual,
    "LIKE": Like,
    "ILIKE": ILike,
    "IN": In,
}
_NEGATED = {"!=": "=", "NOT IN": "IN"}


@dataclass(frozen=True)
class Condition:
    """`fulfils` keeps the rows that fulfil a clause.

    `few` are rows of which every one that fulfils it is the `column` of one, found by an index; empty when there is no
    such place to begin.
    """

    fulfils: Q
    few: tuple[Rows, ...] = ()


def of_runs(clause: Clause) -> Condition:
    """Return the condition on runs that a clause stands for."""
    key, comparator, value = clause.ident.key, clause.comparator, clause.value
    match clause.ident.entity:
        case Entity.METRIC:
            return _metric(key, comparator, float(value))  # type: ignore[arg-type]  # the vocabulary sees to it
        case Entity.PARAM:
            return _parameter(key, comparator, value)
        case Entity.TAG if key == NAME_TAG:
            return _run_name(comparator, value)
        case Entity.TAG:
            return _tag(RunTag, "run_id", key, comparator, value)
        case Entity.DATASET:
            return _dataset(key, comparator, value)
    return _attribute(key, comparator, value)


def of_projects(clause: Clause) -> Condition:
    """Return the condition on projects that a clause stands for."""
    key, comparator, value = clause.ident.key, clause.comparator, clause.value
    if clause.ident.entity == Entity.TAG:
        return _tag(ExperimentTag, "project_id", key, comparator, value)
    return Condition(of_column(PROJECT_ATTRIBUTES[key], clause))


def of_column(shown: Combinable, clause: Clause) -> Q:
    """Return what keeps the rows whose `shown` fulfils a clause; rows without one never do."""
    return _shown(shown, clause.comparator, clause.value)


def _compared(shown: Combinable, comparator: str, value: Value) -> Q:
    """Return what keeps the rows whose `shown` fulfils a comparison; rows without one never do."""
    if comparator in _NEGATED:
        equal = Q(_LOOKUPS[_NEGATED[comparator]](shown, value))
        return Q(IsNull(shown, False)) & ~equal  # noqa: FBT003 - Django's own signature
    return Q(_LOOKUPS[comparator](shown, value))


def _metric(key: str, comparator: str, value: float) -> Condition:
    rows = RunMetric.objects.filter(key=key)
    finite = rows.filter(_compared(F("value"), comparator, value), value__isnull=False)
    compare = OPERATORS[comparator]
    names = [name for name, number in SPECIAL.items() if compare(number, value)]
    special = rows.filter(value__isnull=True, special__in=names)
    of_run = Q(_compared(F("value"), comparator, value)) | Q(special__in=names)
    exists = Exists(rows.filter(of_run, run=OuterRef("pk")))
    return Condition(Q(exists), tuple(some.values_list("run_id") for some in (finite, special)[: 1 + bool(names)]))


def _parameter(name: str, comparator: str, value: Value) -> Condition:
    """Compare a parameter as it is shown: of several of that name one hides the others."""
    rows = RunParameter.objects.filter(name=name, group__in=PARAMETER_RANKS)
    of_run = rows.filter(run=OuterRef("pk"))
    if comparator == IS_NULL:
        return Condition(~Q(Exists(of_run)))
    if comparator == IS_NOT_NULL:
        return Condition(Q(Exists(of_run)), (rows.values_list("run_id"),))
    shown = RunParameter.objects.filter(pk=Subquery(shown_parameter(OuterRef(OuterRef("pk")), name).values("pk")))
    if comparator not in {"=", "!="} or not isinstance(value, str):
        return Condition(Q(Exists(shown.filter(_compared(PARAMETER_TEXT, comparator, value)))))
    number = _number(value)
    at_launch = Q(text=value) if number is None or parameter_text(number, None, None) != value else Q(number=number)
    equal = Q(value=value) | Q(at_launch, value__isnull=True)
    if comparator == "!=":
        # Of columns that may be empty a negation alone is unknown, not true.
        return Condition(Q(Exists(shown.filter(~Exists(RunParameter.objects.filter(equal, pk=OuterRef("pk")))))))
    few = [rows.filter(text=value[:MAX_TEXT])] + ([] if number is None else [rows.filter(number=number)])
    return Condition(Q(Exists(shown.filter(equal))), tuple(some.values_list("run_id") for some in few))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _tag(model: type[Model], owner: str, key: str, comparator: str, value: Value) -> Condition:
    rows = model._default_manager.filter(key=key)  # noqa: SLF001 - public in Django's documentation
    of_owner = rows.filter(**{owner: OuterRef("pk")})
    if comparator == IS_NULL:
        return Condition(~Q(Exists(of_owner)))
    if comparator == IS_NOT_NULL:
        return Condition(Q(Exists(of_owner)), (rows.values_list(owner),))
    fulfils = Q(Exists(of_owner.filter(_compared(F("value"), comparator, value))))
    if comparator != "=" or not isinstance(value, str):
        return Condition(fulfils)
    return Condition(fulfils, (rows.filter(tag_is(value)).values_list(owner),))


def _dataset(key: str, comparator: str, value: Value) -> Condition:
    """Compare the datasets of a run; one that fulfils it is enough."""
    compared = _compared(F(key), comparator, value)
    exists = Exists(RunDataset.objects.filter(compared, run=OuterRef("pk")))
    is_indexed = key != "context" and comparator in {"=", "IN"}
    return Condition(Q(exists), (RunDataset.objects.filter(compared).values_list("run_id"),) if is_indexed else ())


def _run_name(comparator: str, value: Value) -> Condition:
    """Compare the tag that every run has."""
    if comparator in {IS_NULL, IS_NOT_NULL}:
        return Condition(Q(pk__isnull=comparator == IS_NULL))
    return _attribute("run_name", comparator, value)


def _attribute(key: str, comparator: str, value: Value) -> Condition:
    fulfils = _shown(RUN_ATTRIBUTES[key], comparator, value)
    return Condition(fulfils, _few_by_attribute(key, value) if comparator in {"=", "IN"} else ())


def _shown(shown: Combinable, comparator: str, value: Value) -> Q:
    if isinstance(value, int | float):
        return _time(shown, comparator, value)
    return _compared(shown, comparator, value)


def _few_by_attribute(key: str, value: Value) -> tuple[Rows, ...]:
    every = Run.objects.order_by()
    wanted = list(value) if isinstance(value, tuple) else [value]
    if key == "run_id":
        return (every.filter(uid__in=wanted).values_list("pk"),)
    if key == "run_name":
        return (every.filter(name__in=wanted).values_list("pk"),)
    if key == "status":
        own = [status for status, word in STATUSES.items() if word in wanted]
        told = RunTracking.objects.filter(client_status__in=wanted)
        return every.filter(status__in=own).values_list("pk"), told.values_list("run_id")
    return ()


def _time(shown: Combinable, comparator: str, value: float) -> Q:
    """Compare whole ms with any number, such that it fits the database's integers."""
    whole = math.ceil(value) if comparator in {"<", ">="} else math.floor(value)
    if whole != value and comparator in {"=", "!="}:
        return Q(pk__isnull=True) if comparator == "=" else Q(IsNull(shown, False))  # noqa: FBT003
    return _compared(shown, comparator, min(max(whole, -(2**63)), 2**63 - 1))
