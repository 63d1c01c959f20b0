"""A table of runs as a page shows it: heads that order the list, and a row of cells for each run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import CharField, F, FloatField, Q, QuerySet, Value, prefetch_related_objects
from django.db.models.functions import Cast, Left
from django.utils import timezone

from runs.columns import BASICS, Column
from runs.conditions import METRICS, PARAMETER_ORIGINS, TAGS, Place
from runs.lifecycle import LIVE
from runs.models import Run, RunMetric, RunParameter, RunTag
from runs.ordering import Order
from runs.waiting import waiting_reason
from trainhub.templatetags.formatting import NOTHING, short_number, time_span

LOSSES = ("loss", "train_loss", "train/loss")  # what training loss is called; else the first with "loss" in its name
MAX_TEXT = 120  # characters of a parameter or tag in a cell
UPWARDS = frozenset({"name"})  # orders that begin with the least at the first click, as metrics do

Values = Mapping[str, str]  # key of the column → what the cell shows


@dataclass(frozen=True)
class Head:
    """The head of a column. `next` is the order that a click asks for, `sort` what aria-sort says."""

    title: str
    is_number: bool
    next: str = ""
    sort: str = ""


@dataclass(frozen=True)
class Cell:
    """What a run shows in a column. `kind` is the column's key for cells that a template draws, else text or time."""

    column: Column
    kind: str
    text: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Row:
    """A run and its cells."""

    run: Run
    cells: list[Cell]

    @property
    def waits_for(self) -> str:
        """Why the run waits, for room here or in the queue of its engine."""
        return waiting_reason(self.run)


@dataclass(frozen=True)
class RunTable:
    """Heads and rows; `name` is the head of the first column, the run itself."""

    name: Head
    heads: list[Head]
    rows: list[Row]


def read_table(keys: Sequence[int], columns: Sequence[Column], order: Order) -> RunTable:
    """Return the table of the runs with these keys, in the same order. Three queries at most."""
    runs = _read_runs(keys)
    values, loss = _read_values(list(runs), columns)
    now = timezone.now()
    ordered = [replace(column, order=loss) if column.key == "loss" else column for column in columns]
    return RunTable(
        name=_head(Column("name", "Run", order="name"), order),
        heads=[_head(column, order) for column in ordered],
        rows=[
            Row(runs[key], [_cell(column, runs[key], values.get(key, {}), now) for column in columns])
            for key in keys
            if key in runs  # else it was deleted a moment ago
        ],
    )


def _read_runs(keys: Sequence[int]) -> dict[int, Run]:
    rows = Run.objects.not_deleted().select_related("project", "created_by").without_wide_columns().with_parent()
    runs: dict[int, Run] = rows.in_bulk(list(keys))
    prefetch_related_objects([run for run in runs.values() if run.status in LIVE], "attempts")
    return runs


# --- Parameters, tags and metrics -----------------------------------------------------------------------
def _read_values(run_ids: Sequence[int], columns: Sequence[Column]) -> tuple[dict[int, dict[str, str]], str]:
    """Return what cells of parameters, tags and metrics show by run, and how newest losses are ordered. One query."""
    found: dict[int, dict[str, str]] = {}
    losses: dict[int, dict[str, str]] = {}
    asked = {column.key for column in columns}
    for run_id, group, name, number, text in _rows(run_ids, columns):
        key, shown = Place(group, name).text, _shortened(text) or plain_number(number)
        if key in asked:
            found.setdefault(run_id, {})[key] = shown
        if group == METRICS and "loss" in name:
            losses.setdefault(run_id, {})[name] = shown
    names = {run_id: _preferred(some) for run_id, some in losses.items()}
    for run_id, name in names.items():
        found.setdefault(run_id, {})["loss"] = losses[run_id][name]
    usual = max(names.values(), key=list(names.values()).count, default="")
    return found, Place(METRICS, usual).text if usual else ""


def _rows(run_ids: Sequence[int], columns: Sequence[Column]) -> Any:
    """Return run, group, name, number and text of what is shown; of a number that is none, text is its name."""
    names: dict[str, list[str]] = {group: [] for group in (METRICS, TAGS, *PARAMETER_ORIGINS)}
    for column in columns:
        if column.group != BASICS:
            names[column.group].append(column.title)
    wanted = Q(key__in=names[METRICS])
    if any(column.key == "loss" for column in columns):
        wanted |= Q(key__contains="loss") & ~Q(key__startswith="system/")
    asked: list[QuerySet[Any, Any]] = []
    if run_ids and (names[METRICS] or wanted.connector == Q.OR):
        metrics = RunMetric.objects.filter(wanted, run__in=run_ids)
        asked.append(metrics.values_list("run_id", Value(METRICS), "key", "value", Cast("special", CharField())))
    for group in PARAMETER_ORIGINS:
        if run_ids and names[group]:
            rows = RunParameter.objects.filter(run__in=run_ids, group=group, name__in=names[group])
            asked.append(rows.values_list("run_id", Value(group), "name", F("number"), Cast("text", CharField())))
    if run_ids and names[TAGS]:
        tags = RunTag.objects.filter(run__in=run_ids, key__in=names[TAGS])
        text = Cast(Left("value", MAX_TEXT + 1), CharField())
        asked.append(tags.values_list("run_id", Value(TAGS), "key", Cast(Value(None), FloatField()), text))
    return asked[0].union(*asked[1:], all=True) if asked else ()


def _shortened(text: str | None) -> str:
    return f"{text[:MAX_TEXT]}…" if text and len(text) > MAX_TEXT else text or ""


def _preferred(losses: Mapping[str, str]) -> str:
    return next((name for name in LOSSES if name in losses), min(losses))


def plain_number(value: float | None) -> str:
    """Return a number as people write it: whole ones in full, others with at most five digits; None is a dash."""
    is_whole = value is not None and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if value is not None and is_whole else short_number(value)


# --- Heads and cells ------------------------------------------------------------------------------
def _head(column: Column, order: Order) -> Head:
    if not column.order:
        return Head(column.title, column.is_number)
    current = order.column or Place(METRICS, order.metric).text
    begins_down = not (column.order in UPWARDS or column.order.startswith(METRICS))
    if current != column.order:
        return Head(column.title, column.is_number, ("-" if begins_down else "") + column.order)
    sort = "descending" if order.is_descending else "ascending"
    return Head(column.title, column.is_number, ("" if order.is_descending else "-") + column.order, sort)


def _cell(column: Column, run: Run, values: Values, now: datetime) -> Cell:
    if column.group != BASICS or column.key == "loss":
        return Cell(column, "text", values.get(column.key, NOTHING))
    if column.key in {"status", "progress"}:
        return Cell(column, column.key)
    if column.key in _TIMES:
        return Cell(column, "time", at=getattr(run, _TIMES[column.key]))
    return Cell(column, "text", _TEXTS[column.key](run, now))


def _duration(run: Run, now: datetime) -> str:
    """Return how long the run has been, or was, in training."""
    return time_span(((run.trained_until or now) - run.started_at).total_seconds()) if run.started_at else NOTHING


_TIMES = {"created": "created_at", "started": "started_at", "ended": "completed_at"}
_TEXTS: dict[str, Callable[[Run, datetime], str]] = {
    "duration": _duration,
    "recipe": lambda run, _: run.recipe or NOTHING,
    "executor": lambda run, _: run.executor or NOTHING,
    "launched_by": lambda run, _: run.created_by.get_username() if run.created_by else NOTHING,
    "priority": lambda run, _: str(run.priority),
}
