"""Versions of a project's settings, and what differs between any two of them, in a form that people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from projects.models import Project
from projects.services import EDITABLE_FIELDS
from trainhub.same import is_same

FIELDS = (*EDITABLE_FIELDS, "status")
TEXTS = frozenset({"description", "objective"})  # compared line by line
LABELS = {"task_type": "Task", "max_running_runs": "Runs at once", "max_gpus": "GPUs at once",
          "log_retention_days": "Days that logs are kept",
          "metric_retention_days": "Days that metric histories are kept",
          "keep_last_checkpoints": "Newest checkpoints that are kept",
          "keep_best_checkpoints": "Best checkpoints that are kept",
          "best_metric": "Metric of the best checkpoints", "best_metric_goal": "Its good values"}  # fmt: skip
MAX_LINES = 500  # of a text that is compared line by line; comparing takes the square of it at worst


@dataclass(frozen=True)
class Version:
    """A version: `number` from 1, the settings in `record`, and the labels of what it changed."""

    number: int
    record: Any
    changed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    """A line of a comparison: `sign` is + for one that came, - for one that went, and a space for one in both."""

    sign: str
    text: str


@dataclass(frozen=True)
class KeyChange:
    """An entry of a group of settings; None where it is missing."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class FieldChange:
    """A setting that differs: by `lines` (texts), by `keys` (objects), or as a whole, `before` and `after`."""

    label: str
    before: Any = None
    after: Any = None
    lines: list[Line] = field(default_factory=list)
    keys: list[KeyChange] = field(default_factory=list)


def count_versions(project: Project) -> int:
    """Return how many versions there are."""
    return int(project.history.count())


def read_versions(project: Project, *, total: int, start: int, size: int) -> list[Version]:
    """Return `size` versions from number `start` of the list on, newest first, each with what it changed."""
    newest = project.history.select_related("history_user").order_by("-history_id")
    records = list(newest[start : start + size + 1])  # one more, to tell what the last one changed
    befores = [*records[1:], None]
    return [
        Version(total - start - place, record, _changed_labels(before, record))
        for place, (record, before) in enumerate(zip(records, befores, strict=True))
        if place < size
    ]


def read_version(project: Project, number: int) -> Version:
    """Return the version with this number, which there must be."""
    record = project.history.select_related("history_user").order_by("history_id")[number - 1]
    return Version(number, record)


def label_of(name: str) -> str:
    """Return what a setting is called."""
    return LABELS.get(name, name.replace("_", " ").capitalize())


def compare(before: Any, after: Any) -> list[FieldChange]:
    """Return the settings that differ between two records, in the order of FIELDS."""
    return [
        _change(name, getattr(before, name), getattr(after, name))
        for name in FIELDS
        if getattr(before, name) != getattr(after, name)
    ]


def _changed_labels(before: Any, record: Any) -> list[str]:
    if before is None:
        return []
    return [label_of(name) for name in FIELDS if getattr(before, name) != getattr(record, name)]


def _change(name: str, before: Any, after: Any) -> FieldChange:
    label = label_of(name)
    if name in TEXTS:
        return FieldChange(label, lines=list(compare_lines(before.splitlines(), after.splitlines())))
    if isinstance(before, dict) and isinstance(after, dict):
        return FieldChange(label, keys=list(_compare_keys(before, after)))
    return FieldChange(label, _as_text(before), _as_text(after))


def compare_lines(before: list[str], after: list[str]) -> Iterator[Line]:
    """Yield the lines of both texts, those that went before those that came in their place.

    Of a text that has too many to compare, all lines went and all came.
    """
    is_long = max(len(before), len(after)) > MAX_LINES
    whole = [("replace", 0, len(before), 0, len(after))]
    steps = whole if is_long else SequenceMatcher(None, before, after).get_opcodes()
    for kind, start, end, new_start, new_end in steps:
        if kind == "equal":
            yield from (Line(" ", text) for text in before[start:end])
        else:
            yield from (Line("-", text) for text in before[start:end])
            yield from (Line("+", text) for text in after[new_start:new_end])


def _compare_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[KeyChange]:
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if key not in before or key not in after or not is_same(old, new):
            yield KeyChange(key, old, new)


def _as_text(value: Any) -> str:
    """Return a setting as people read it; what is not set is empty."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
