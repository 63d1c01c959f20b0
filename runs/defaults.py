"""What a parameter is when nobody gives it, where that comes from, and what differs from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from projects.models import Project
from runs.models import Run
from runs.recipes import PARAMETER_GROUPS, Recipe, known_to, with_defaults
from trainhub.same import is_same

BEFORE, PROJECT, RECIPE = "before", "project", "recipe"  # sources; the first that knows a parameter counts
Given = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Difference:
    """A parameter that is not what it would be by itself.

    `others` are the values that the sources have for it, as (source, value).
    """

    group: str
    name: str
    value: Any
    others: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Entry:
    """A parameter as the trainer gets it; `source` is the first source that has this value too, "" when none has."""

    name: str
    value: Any
    source: str


@dataclass(frozen=True)
class Defaults:
    """What empty parameters stand for: what the run to continue had, else the project's default, else the recipe's."""

    recipe: Recipe
    project: Project
    before: Run | None = None

    def sources(self, group: str) -> dict[str, dict[str, Any]]:
        """Return the values of a group by source, the source that counts first."""
        schema = getattr(self.recipe, group)
        known = known_to(schema, self.project.default_hyperparameters) if group == "hyperparameters" else {}
        values = {PROJECT: known, RECIPE: with_defaults(schema, {})}
        return values if self.before is None else {BEFORE: dict(getattr(self.before, group)), **values}

    def differences(self, given: Given) -> list[Difference]:
        """Return what is not as the recipe has it; of a run to continue, what it had otherwise."""
        return [difference for group in PARAMETER_GROUPS for difference in self._differences(group, given)]

    def config(self, given: Given) -> dict[str, list[Entry]]:
        """Return all parameters as the trainer gets them, by group and name, with where each comes from."""
        return {group: list(self._entries(group, given)) for group in PARAMETER_GROUPS}

    def unknown_hyperparameters(self) -> dict[str, Any]:
        """Return the project's defaults that this recipe does not take."""
        known = known_to(self.recipe.hyperparameters, self.project.default_hyperparameters)
        return {name: value for name, value in self.project.default_hyperparameters.items() if name not in known}

    def _entries(self, group: str, given: Given) -> Iterator[Entry]:
        typed, sources = given.get(group, {}), self.sources(group)
        for name in sorted({*typed, *(name for values in sources.values() for name in values)}):
            known = {key: values[name] for key, values in sources.items() if name in values}
            value = typed[name] if name in typed else next(iter(known.values()))
            yield Entry(name, value, next((key for key, other in known.items() if is_same(other, value)), ""))

    def _differences(self, group: str, given: Given) -> Iterator[Difference]:
        sources = self.sources(group)
        for entry in self._entries(group, given):
            known = {key: sources[key][entry.name] for key in _SHOWN if entry.name in sources.get(key, {})}
            if not is_same(self._expected(known), entry.value):
                yield Difference(group, entry.name, entry.value, tuple(known.items()))

    def _expected(self, known: Mapping[str, Any]) -> Any:
        """Return what a run has that changes nothing: as the recipe has it, or as the run to continue had it."""
        if self.before is None:
            return known.get(RECIPE, _NOTHING)
        return next((known[source] for source in (BEFORE, PROJECT, RECIPE) if source in known), _NOTHING)


_SHOWN = (BEFORE, RECIPE, PROJECT)  # the order in which a page names the sources
_NOTHING = object()
