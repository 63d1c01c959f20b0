"""The executors and recipes of this installation, made from the settings."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from runs.executors.base import Executor
from runs.executors.local import LocalExecutor
from runs.recipes import Recipe, find_recipes
from trainhub.errors import InvalidInput

DEFAULT_EXECUTOR = "local"


@cache
def executors() -> dict[str, Executor]:
    """Return the configured executors by name."""
    gpus = None if settings.LOCAL_GPUS < 0 else settings.LOCAL_GPUS
    return {"local": LocalExecutor(attempts=settings.DATA_DIR / "attempts", slots=settings.LOCAL_SLOTS, gpus=gpus)}


def recipes() -> dict[str, Recipe]:
    """Return the usable recipes by name, read from disk now: an operator's change counts at once."""
    return find_recipes(settings.RECIPE_FOLDERS)[0]


def recipe_problems() -> dict[str, str]:
    """Return why recipe folders cannot be used, by folder."""
    return find_recipes(settings.RECIPE_FOLDERS)[1]


def get_recipe(name: str) -> Recipe:
    """Return the recipe. Raises: InvalidInput naming the ones there are."""
    known = recipes()
    if name not in known:
        raise InvalidInput({"recipe": [f"There is no such recipe; there are {', '.join(sorted(known)) or 'none'}."]})
    return known[name]
