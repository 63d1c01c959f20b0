"""What a run was given, where each value comes from, and what it has otherwise than its defaults and its parent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runs.comparison import flatten
from runs.models import Run
from runs.recipes import with_defaults
from trainhub.api.renderers import dump_json
from trainhub.same import is_same

MISSING = object()  # no value at all: null is one
GROUPS = {"model_parameters": "Model parameters", "hyperparameters": "Hyperparameters"}
LOGGED_TITLE = "Logged by the client"
_SETTINGS = {
    "recipe": "Recipe",
    "recipe_digest": "Recipe's files",
    "dataset": "Dataset",
    "executor": "Executor",
    "compute": "Compute",
    "max_restarts": "Restarts",
    "priority": "Priority",
}


@dataclass(frozen=True)
class Other:
    """The value that something else has instead; `is_missing` when it has none."""

    source: str
    value: Any

    @property
    def is_missing(self) -> bool:
        """Whether there is no value at all."""
        return self.value is MISSING


@dataclass(frozen=True)
class Entry:
    """A value of a run; `source` says where it comes from, `others` what has it otherwise."""

    name: str
    value: Any
    source: str
    others: list[Other]


@dataclass(frozen=True)
class Group:
    """The values of one group, by name."""

    title: str
    entries: list[Entry]

    @property
    def differing(self) -> int:
        """How many entries something else has otherwise."""
        return sum(bool(entry.others) for entry in self.entries)


@dataclass(frozen=True)
class Origins:
    """What the values of a run are compared with: its parent, and the project's defaults when it was launched."""

    parent: Run | None = None
    project_defaults: Mapping[str, Any] | None = None


def read_origins(run: Run) -> Origins:
    """Return what to compare a run with, which came with it (`with_page_details`). No query.

    A parent that was deleted meanwhile is not shown, like anything of it.
    """
    parent = run.resumed_from.run if run.resumed_from is not None else None
    if parent is not None and parent.deleted_at is not None:
        parent = None
    return Origins(parent, run.project.default_hyperparameters if run.launch_defaults is None else run.launch_defaults)


def describe_config(run: Run, origins: Origins | None = None) -> list[Group]:
    """Return both groups of parameters as the trainer gets them, with the recipe's defaults."""
    origins = origins or Origins()
    return [
        Group(title, sorted(_parameters(run, group, origins), key=lambda entry: entry.name))
        for group, title in GROUPS.items()
    ]


def describe_settings(run: Run, parent: Run | None) -> list[Entry]:
    """Return what a run was launched with beside its parameters, and what its parent has otherwise."""
    entries = []
    for name, title in _SETTINGS.items():
        value = getattr(run, name)
        before = getattr(parent, name, value)
        entries.append(Entry(title, value, "", [Other("parent", before)] if not is_same(before, value) else []))
    return entries


def _parameters(run: Run, group: str, origins: Origins) -> Iterator[Entry]:
    schema = run.recipe_snapshot.get(group, {})
    given = getattr(run, group)
    recipe = with_defaults(schema, {})
    project = (origins.project_defaults or {}) if group == "hyperparameters" else {}
    parent = _effective(origins.parent, group) if origins.parent else {}
    for name, value in with_defaults(schema, given).items():
        others = [Other("recipe", recipe[name])] if name in recipe and not is_same(recipe[name], value) else []
        others += [Other("project", project[name])] if name in project and not is_same(project[name], value) else []
        if origins.parent and not is_same(parent.get(name, MISSING), value):
            others.append(Other("parent", parent.get(name, MISSING)))
        yield Entry(name, value, _source(name, value, given, project, origins.parent, group), others)
    for name in sorted(set(parent) - set(given) - set(recipe)):
        yield Entry(name, MISSING, "left out", [Other("parent", parent[name])])


def _effective(run: Run, group: str) -> dict[str, Any]:
    return with_defaults(run.recipe_snapshot.get(group, {}), getattr(run, group))


def _source(
    name: str, value: Any, given: Mapping[str, Any], project: Mapping[str, Any], parent: Run | None, group: str
) -> str:
    """Say where a value comes from; what was given again as it was counts as taken over."""
    if name not in given:
        return "recipe's default"
    if parent is not None and is_same(getattr(parent, group).get(name, MISSING), value):
        return "parent"
    return "project's default" if is_same(project.get(name, MISSING), value) else "given at launch"


# --- What a client logged -------------------------------------------------------------------------
def describe_logged(run: Run, logged: Mapping[str, Any]) -> Group:
    """Return parameters that a client logged, by name, and what the launch gave under the same name otherwise.

    `logged` holds what their `str` shows; of parameters inside an object, the launch's name has dots.
    """
    leaves = [leaf for group in GROUPS for leaf in flatten(_effective(run, group))]
    launched = {".".join(path): value for path, value in leaves if value is not None}
    entries = []
    for name, value in logged.items():
        differs = name in launched and not says_the_same(str(value), launched[name])
        entries.append(Entry(name, value, "client", [Other("launch", launched[name])] if differs else []))
    return Group(LOGGED_TITLE, entries)


def says_the_same(text: str, value: Any) -> bool:
    """Tell whether a client's text stands for a value: `0.10` for 0.1, `True` for true, JSON for lists."""
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int | float):
        try:
            return float(text) == value
        except ValueError:
            return False
    return text in {str(value), dump_json(value).decode()}
