"""Where a run goes, and what it may choose there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from projects.models import Project
from runs.executors.base import Executor
from runs.recipes import ParametersRefused, Recipe
from runs.registry import default_executor, executors
from trainhub.errors import InvalidInput

# What a run's `compute` may hold of what executors let people choose; the names of their choices.
CHOICES = ("partition", "account", "qos", "constraint")
# What a time limit must leave for training, besides the time to save: an engine may warn that much too early, see
# `runs.attempts.ENGINE_WARNS_EARLY`; the hub itself is exact.
ENGINE_LEAVES_SECONDS, HUB_LEAVES_SECONDS = 150, 60


def suits(recipe: Recipe, executor: Executor) -> bool:
    """Tell whether runs of the recipe may go to the executor: the recipe names its kind or its name."""
    return executor.kind in recipe.executors or executor.name in recipe.executors


def suitable(recipe: Recipe) -> list[Executor]:
    """Return the executors that suit the recipe, in the order of their declaration."""
    return [executor for executor in executors().values() if suits(recipe, executor)]


def usual_executor(project: Project) -> str:
    """Return the name of the executor of a project's runs that name none."""
    return project.default_executor or default_executor()


def choose_executor(*, name: str, project: Project, recipe: Recipe) -> Executor:
    """Return the executor called `name`, or without a name the project's, or the hub's.

    Raises: InvalidInput naming those that there are, when it is none or does not suit the recipe.
    """
    wanted = name or usual_executor(project)
    source = "" if name else f"{wanted} is the default here. "
    executor = executors().get(wanted)
    if executor is None:
        known = ", ".join(sorted(executors()))
        raise InvalidInput({"executor": [f"{source}There is no such executor; there are {known}."]})
    if not suits(recipe, executor):
        names = ", ".join(other.name for other in suitable(recipe)) or "none here"
        raise InvalidInput({"executor": [f"{source}The recipe {recipe.name} suits {names}."]})
    return executor


def checked_compute(*, compute: Mapping[str, Any], executor: Executor, recipe: Recipe) -> dict[str, Any]:
    """Return what a run asks for, checked against what the operator allows and what leaves time to train.

    Where the hub itself ends runs that reach their time limit, one that names none has the executor's bound.
    Raises: ParametersRefused, of the group `compute`.
    """
    allowed = {choice.name: choice.values for choice in executor.choices(recipe.name)}
    problems = []
    for name in CHOICES:
        value = compute.get(name)
        if value and value not in allowed.get(name, ()):
            there_are = f"there are {', '.join(allowed[name])}" if allowed.get(name) else "there is nothing to choose"
            problems.append(("compute", name, f"This is not allowed on {executor.name}; {there_are}."))
    longest, limit = executor.max_time_limit_minutes(recipe.name), compute.get("time_limit_minutes")
    if limit is None and not executor.capacity().has_queue:
        limit = longest
    if wrong := _wrong_limit(limit, longest, executor.name, least_minutes(recipe, executor)):
        problems.append(("compute", "time_limit_minutes", wrong))
    if problems:
        raise ParametersRefused(problems)
    return dict(compute) if limit is None else {**compute, "time_limit_minutes": limit}


def _wrong_limit(limit: int | None, longest: int | None, name: str, least: int) -> str:
    """Return what is wrong with a time limit in minutes, as a sentence; empty when nothing is."""
    if limit is None:
        return ""
    if longest is not None and limit > longest:
        return f"At most {longest} minutes are allowed on {name}."
    if limit < least:
        return f"At least {least} minutes are needed on {name}: with less, saving would begin before the training."
    return ""


def least_minutes(recipe: Recipe, executor: Executor) -> int:
    """Return the shortest time limit that leaves time to train before the trainer is told to save."""
    leaves = ENGINE_LEAVES_SECONDS if executor.capacity().has_queue else HUB_LEAVES_SECONDS
    seconds = recipe.grace_seconds + leaves
    return int(seconds // 60) + 1


def without_choices(compute: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run asks of any executor: what another one allows to choose says nothing here."""
    return {name: value for name, value in compute.items() if name not in CHOICES}
