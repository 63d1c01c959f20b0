"""What a project's form offers as defaults: recipes and executors; who knows them says so when it starts.

Projects know no runs, recipes and executors (imports go the other way), so the sources are handed in.
"""

from __future__ import annotations

from collections.abc import Callable

Choices = list[tuple[str, str]]  # name and title
Source = Callable[[], Choices]

_recipes: list[Source] = []
_executors: list[Source] = []


def offer_recipes(source: Source) -> None:
    """Take recipes from `source`, asked anew for every form."""
    _recipes.append(source)


def offer_executors(source: Source) -> None:
    """Take executors from `source`, asked anew for every form."""
    _executors.append(source)


def recipe_choices(*, current: str = "") -> Choices:
    """Return names and titles to choose from: none first, and `current` too where no source has it any more."""
    return _choices(_recipes, current)


def executor_choices(*, current: str = "") -> Choices:
    """Return names and titles of executors, as `recipe_choices` those of recipes."""
    return _choices(_executors, current)


def _choices(sources: list[Source], current: str) -> Choices:
    offered = sorted(choice for source in sources for choice in source())
    gone = [(current, f"{current} (not on this hub any more)")] if current and current not in dict(offered) else []
    return [("", "The hub's own default"), *offered, *gone]
