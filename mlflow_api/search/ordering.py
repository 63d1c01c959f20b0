"""The order of an answer, and the place a page goes on from.

Everything that is ordered by is two columns: a rank (0 for a value, 1 for NaN, 2 for none) and the value itself. So
what has no value comes last in both directions, and NaN just before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import (
    Case,
    F,
    FilteredRelation,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.lookups import Exact, GreaterThan, IsNull, LessThan

from mlflow_api.errors import invalid
from mlflow_api.search.columns import PARAMETER_TEXT, PROJECT_ATTRIBUTES, RUN_ATTRIBUTES, shown_metric, shown_parameter
from mlflow_api.search.reading import read_order
from mlflow_api.search.vocabulary import EXPERIMENTS, RUNS, Entity, Ident, Vocabulary
from runs.tracking.writing import NAME_TAG

MAX_ORDERS = 10
Kind = Literal["runs", "projects"]

_VOCABULARIES = {"runs": RUNS, "projects": EXPERIMENTS}
_ATTRIBUTES = {"runs": RUN_ATTRIBUTES, "projects": PROJECT_ATTRIBUTES}
_TAGS = {"runs": "tags", "projects": "experiment_tags"}
_RUN_NAME = Ident(Entity.ATTRIBUTE, "run_name")


@dataclass(frozen=True)
class Sort:
    """One thing to order by."""

    ident: Ident
    is_descending: bool = False

    @property
    def text(self) -> str:
        """How a page token names it."""
        return f"{self.ident.text} {'DESC' if self.is_descending else 'ASC'}"


NEWEST_RUNS = Sort(Ident(Entity.ATTRIBUTE, "start_time"), is_descending=True)
NEWEST_PROJECTS = Sort(Ident(Entity.ATTRIBUTE, "creation_time"), is_descending=True)
_LAST = {"runs": NEWEST_RUNS, "projects": NEWEST_PROJECTS}


@dataclass(frozen=True)
class Place:
    """Where a row stands: rank and value of each thing that is ordered by (None without one), its uid; and its key."""

    values: tuple[tuple[int, Any], ...]
    uid: str
    key: int = 0


@dataclass(frozen=True)
class Ordering:
    """The whole order of an answer; equal ones come newest first, then by uid."""

    kind: Kind
    sorts: tuple[Sort, ...]

    def places(self, rows: QuerySet[Any], after: Place | None, size: int) -> list[Place]:
        """Return the places of the first `size` of some rows behind `after`, in order. One query."""
        for number, sort in enumerate(self.sorts):
            rows = self._with_columns(rows, number, sort.ident)
        if after is not None:
            rows = rows.filter(self._behind(after))
        columns = [name for number in range(len(self.sorts)) for name in (f"rank{number}", f"value{number}")]
        found = rows.order_by(*self._terms(), "uid").values_list("pk", "uid", *columns)[:size]
        return [Place(tuple(zip(row[2::2], row[3::2], strict=True)), row[1], row[0]) for row in found]

    def is_number(self, sort: Sort) -> bool:
        """Tell whether the values of one thing are numbers, else texts."""
        return _VOCABULARIES[self.kind].is_number(sort.ident)

    def _terms(self) -> Iterator[str]:
        for number, sort in enumerate(self.sorts):
            yield f"rank{number}"
            yield ("-" if sort.is_descending else "") + f"value{number}"

    def _behind(self, after: Place) -> Q:
        later = Q(GreaterThan(F("uid"), after.uid))
        for number, sort in reversed(list(enumerate(self.sorts))):
            rank, value = after.values[number]
            if rank == 0:
                column = F(f"value{number}")
                passed = (LessThan if sort.is_descending else GreaterThan)(column, value)
                later = Q(passed) | (Q(Exact(column, value)) & later)
            column = F(f"rank{number}")
            later = Q(GreaterThan(column, rank)) | (Q(Exact(column, rank)) & later)
        return later

    def _with_columns(self, rows: QuerySet[Any], number: int, ident: Ident) -> QuerySet[Any]:
        """Add rank and value of one thing."""
        if ident.entity in {Entity.ATTRIBUTE, Entity.PARAM}:
            is_own = ident.entity == Entity.ATTRIBUTE
            shown = _ATTRIBUTES[self.kind][ident.key] if is_own else _parameter(ident.key)
            return _annotated(rows, number, _rank(shown), shown)
        relation = "newest_metrics" if ident.entity == Entity.METRIC else _TAGS[self.kind]
        joined = f"joined{number}"
        rows = rows.alias(**{joined: FilteredRelation(relation, condition=Q(**{f"{relation}__key": ident.key}))})
        if ident.entity == Entity.TAG:
            return _annotated(rows, number, _rank(F(f"{joined}__value")), F(f"{joined}__value"))
        is_nan = When(**{f"{joined}__special": "NaN"}, then=Value(1))
        return _annotated(rows, number, _rank(F(f"{joined}__key"), is_nan), shown_metric(f"{joined}__"))


def _annotated(rows: QuerySet[Any], number: int, rank: Combinable, value: Combinable) -> QuerySet[Any]:
    columns: dict[str, Any] = {f"rank{number}": rank, f"value{number}": value}
    annotated: QuerySet[Any] = rows.annotate(**columns)
    return annotated


def _rank(shown: Combinable, *others: When) -> Case:
    is_missing = When(Q(IsNull(shown, True)), then=Value(2))  # noqa: FBT003 - Django's own signature
    return Case(is_missing, *others, default=Value(0), output_field=IntegerField())


def _parameter(name: str) -> Subquery:
    """Return a run's parameter as it is shown."""
    shown = shown_parameter(OuterRef("pk"), name).annotate(shown=PARAMETER_TEXT).values("shown")
    return Subquery(shown, output_field=TextField())


def check_count(orders: int) -> None:
    """Raise MlflowError (400) when more is to be ordered by than is taken."""
    if orders > MAX_ORDERS:
        raise invalid(f"Invalid order_by: at most {MAX_ORDERS} are taken.")


def read_sorts(texts: Sequence[str], vocabulary: Vocabulary) -> list[Sort]:
    """Return what some texts order by. Raises: MlflowError (400)."""
    check_count(len(texts))
    return [Sort(*read_order(text, vocabulary)) for text in texts]


def read_ordering(kind: Kind, texts: Sequence[str]) -> Ordering:
    """Return the order that some texts stand for, newest first behind them. Raises: MlflowError (400)."""
    sorts: dict[Ident, Sort] = {}
    for sort in read_sorts(texts, _VOCABULARIES[kind]):
        is_name = kind == "runs" and sort.ident == Ident(Entity.TAG, NAME_TAG)
        ident = _RUN_NAME if is_name else sort.ident
        sorts.setdefault(ident, Sort(ident, sort.is_descending))  # again it would change nothing
    sorts.setdefault(_LAST[kind].ident, _LAST[kind])
    return Ordering(kind, tuple(sorts.values()))
