"""The columns of a table of runs: which there are, and which a person chose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, Value

from projects.models import Project
from runs.conditions import METRICS, PARAMETER_ORIGINS, TAGS, InvalidCondition, Place, parse_place
from runs.models import ChosenColumns, RunMetric, RunParameter, RunTag
from runs.parameters import LOGGED
from trainhub.errors import InvalidInput

BASICS = "basics"
GROUPS = {
    BASICS: "Basics",
    "hyperparameters": "Hyperparameters",
    "model_parameters": "Model parameters",
    LOGGED: "Logged parameters",
    TAGS: "Tags",
    METRICS: "Metrics, newest value",
}
MAX_COLUMNS = 20  # of one table
MAX_NAMES = 200  # of one group that the chooser offers


@dataclass(frozen=True)
class Column:
    """A column: one of BASIC_COLUMNS, or a parameter, tag or metric, whose key is its place as conditions name it.

    `order` is how the API's `order` names it; empty where runs cannot be ordered by it.
    """

    key: str
    title: str
    group: str = BASICS
    order: str = ""
    is_number: bool = False

    @classmethod
    def of(cls, place: Place) -> Column:
        """Return the column of a parameter, tag or metric."""
        order = place.text if place.group == METRICS else ""
        return cls(place.text, place.name, place.group, order, is_number=place.group != TAGS)


BASIC_COLUMNS = {
    column.key: column
    for column in (
        Column("status", "Status"),
        Column("progress", "Progress", order="progress", is_number=True),
        Column("loss", "Newest loss", is_number=True),
        Column("duration", "Duration", is_number=True),
        Column("recipe", "Recipe"),
        Column("executor", "Executor"),
        Column("launched_by", "Launched by"),
        Column("priority", "Priority", order="priority", is_number=True),
        Column("created", "Created", order="created_at"),
        Column("started", "Started"),
        Column("ended", "Ended", order="completed_at"),
    )
}
USUAL = tuple(
    BASIC_COLUMNS[key] for key in ("status", "progress", "loss", "duration", "recipe", "launched_by", "created")
)


def parse_column(key: str) -> Column:
    """Return the column with this key. Raises: InvalidCondition."""
    return BASIC_COLUMNS.get(key) or Column.of(parse_place(key))


def chosen_columns(*, user: Any, project: Project | None) -> tuple[Column, ...]:
    """Return what `user` chose for the runs of a project (None: for all runs), or the usual columns. One query."""
    chosen = ChosenColumns.objects.filter(user=user, project=project).values_list("keys", flat=True).first()
    return USUAL if chosen is None else tuple(parse_column(key) for key in chosen)


def choose_columns(*, user: Any, project: Project | None, keys: Iterable[str]) -> tuple[Column, ...]:
    """Remember the columns of `user` for the runs of a project (None: of all runs). Returns them.

    Raises: InvalidInput for too many, and for what is no column.
    """
    try:
        columns = tuple(dict.fromkeys(parse_column(key) for key in keys))
    except InvalidCondition as error:
        raise InvalidInput({"column": [str(error)]}) from None
    if len(columns) > MAX_COLUMNS:
        raise InvalidInput({"column": [f"A table has at most {MAX_COLUMNS} columns; you chose {len(columns)}."]})
    ChosenColumns.objects.update_or_create(
        user=user, project=project, defaults={"keys": [column.key for column in columns]}
    )
    return columns


def forget_columns(*, user: Any, project: Project | None) -> None:
    """Go back to the usual columns."""
    ChosenColumns.objects.filter(user=user, project=project).delete()


def offered_columns(run_ids: Sequence[int], chosen: Sequence[Column]) -> list[tuple[str, list[Column]]]:
    """Return title and columns of each group: what some runs have, and what is chosen already. One query."""
    found = {Column.of(place) for place in _places_of(run_ids)} | {
        column for column in chosen if column.group != BASICS
    }
    offered = [(GROUPS[BASICS], list(BASIC_COLUMNS.values()))]
    for group in (*PARAMETER_ORIGINS, TAGS, METRICS):
        named = sorted((column for column in found if column.group == group), key=_own_before_the_machines)
        offered.append((GROUPS[group], named[:MAX_NAMES]))
    return [(title, columns) for title, columns in offered if columns]


def _own_before_the_machines(column: Column) -> tuple[bool, str]:
    return column.title.startswith(("system/", "mlflow.")), column.title


def _places_of(run_ids: Sequence[int]) -> list[Place]:
    if not run_ids:
        return []
    metrics: QuerySet[Any, Any] = RunMetric.objects.filter(run__in=run_ids).values_list(Value(METRICS), "key")
    parameters = RunParameter.objects.filter(run__in=run_ids).values_list("group", "name")
    tags = RunTag.objects.filter(run__in=run_ids).values_list(Value(TAGS), "key")
    return [Place(group, name) for group, name in metrics.union(parameters, tags)]
