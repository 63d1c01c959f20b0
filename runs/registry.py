"""The executors and recipes of this installation, made from the settings."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from runs.executors.base import ClosedExecutor, Executor, MissingExecutor
from runs.executors.configuration import (
    BrokenSettings,
    Configuration,
    ConfigurationError,
    LocalSettings,
    Settings,
    SlurmSettings,
    read_configuration,
)
from runs.executors.local import LocalExecutor
from runs.executors.slurm import SlurmExecutor
from runs.programs import find_programs
from runs.recipes import Recipe, RecipeError, find_recipes, with_digest
from trainhub.errors import InvalidInput

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Loaded:
    """The executors as they were built; `stamp` tells whether the file is still the one they were built from."""

    stamp: tuple[object, ...]
    configuration: Configuration
    executors: Mapping[str, Executor]


_loaded: _Loaded | None = None
_loading = threading.Lock()


def executors() -> Mapping[str, Executor]:
    """Return the configured executors by name; a file that was changed is read again."""
    return _load().executors


def default_executor() -> str:
    """Return the name of the executor of runs that name none, in projects that name none."""
    return _load().configuration.default


def configuration_problems() -> list[str]:
    """Return what is wrong in the file of the executors, as sentences for operators."""
    configuration = _load().configuration
    declared = configuration.executors.values()
    return [*configuration.problems, *(item.problem for item in declared if isinstance(item, BrokenSettings))]


def _load() -> _Loaded:
    global _loaded  # noqa: PLW0603 - one for each process, as the file is
    place = _place()
    stamp = _stamp(place)
    if _loaded is None or _loaded.stamp != stamp:
        with _loading:
            if _loaded is None or _loaded.stamp != stamp:
                _loaded = _build(stamp, _read(place, before=_loaded), before=_loaded)
    return _loaded


def _place() -> Path | None:
    """Return the file that counts; None without any."""
    usual: Path = settings.DATA_DIR / "executors.toml"
    return settings.EXECUTORS_FILE or (usual if usual.exists() else None)


def _stamp(place: Path | None) -> tuple[object, ...]:
    """Return what changes when the executors must be built anew. One look at the file, which is not opened."""
    state: tuple[object, ...] = (settings.DATA_DIR, settings.LOCAL_SLOTS, settings.LOCAL_GPUS)
    if place is None:
        return state
    try:
        found = place.stat()
    except OSError as error:
        return (*state, place, error.errno)
    return (*state, place, found.st_mtime_ns, found.st_size, found.st_ino)


def _read(place: Path | None, *, before: _Loaded | None) -> Configuration:
    """Return what the file declares; of a file that cannot be used, what it declared before, with the problem."""
    if place is None:
        gpus = None if settings.LOCAL_GPUS < 0 else settings.LOCAL_GPUS
        return Configuration("local", {"local": LocalSettings(settings.LOCAL_SLOTS, gpus)})
    try:
        return read_configuration(place)
    except ConfigurationError as error:
        problem = str(error)
    if before is None:
        return Configuration("local", {"local": BrokenSettings(problem, "local")})
    return Configuration(before.configuration.default, before.configuration.executors, (problem,))


def _build(stamp: tuple[object, ...], configuration: Configuration, *, before: _Loaded | None) -> _Loaded:
    """Build the executors; those that are declared as before stay the objects that they are.

    One whose declaration is broken now goes on as it was for what runs there, and starts nothing.
    """
    built: dict[str, Executor] = {}
    olds = before.executors if before and before.stamp[0] == stamp[0] else {}
    for name, declared in configuration.executors.items():
        old = olds.get(name)
        if old and before and before.configuration.executors.get(name) == declared:
            built[name] = old
            continue
        built[name] = new = make_executor(name, declared)
        usable = old.inner if isinstance(old, ClosedExecutor) else old
        if usable and isinstance(new, MissingExecutor) and not isinstance(usable, MissingExecutor):
            built[name] = ClosedExecutor(usable, new.problems()[0])
    loaded = _Loaded(stamp, configuration, built)
    problems = [*configuration.problems]
    problems += [item.problem for item in configuration.executors.values() if isinstance(item, BrokenSettings)]
    for problem in problems:
        logger.warning("%s", problem)
    return loaded


def make_executor(name: str, declared: Settings) -> Executor:
    """Return the executor that the settings describe."""
    if isinstance(declared, BrokenSettings):
        return MissingExecutor(name, declared.problem, kind=declared.kind)
    attempts = settings.DATA_DIR / "attempts"
    if isinstance(declared, SlurmSettings):
        fields = {key: value for key, value in vars(declared).items() if key not in {"kind", "folder"}}
        try:
            return SlurmExecutor(name=name, folder=declared.folder or attempts, **fields)
        except ValueError as error:
            return MissingExecutor(name, f"executors.{name}: {error}", kind=declared.kind)
    return LocalExecutor(
        name=name,
        attempts=attempts,
        slots=declared.slots,
        gpus=declared.gpus,
        max_time_limit_minutes=declared.max_time_limit_minutes,
    )


def look_for_recipes() -> tuple[dict[str, Recipe], dict[str, str]]:
    """Return the usable recipes by name, and the problems of the others by folder.

    Declarations are read from disk now: an operator's change counts at once. The other files are not, so that pages
    may ask often; `recipe_to_run` reads them. A program of a recipe's name is a problem.
    """
    found, problems = find_recipes([*settings.RECIPE_FOLDERS, *settings.PROGRAM_FOLDERS])
    programs, more_problems = find_programs(settings.PROGRAM_FOLDERS, declared_by=settings.PROGRAM_DECLARATION)
    for name in programs.keys() & found.keys():
        more_problems[programs.pop(name).folder] = "another folder holds a recipe of this name"
    return {**found, **programs}, {**problems, **more_problems}


def look_for_recipes_with_digests() -> tuple[dict[str, Recipe], dict[str, str]]:
    """As `look_for_recipes`, with digests: reads every file of every recipe. One that cannot be read is a problem."""
    found, problems = look_for_recipes()
    whole = {}
    for name, recipe in found.items():
        try:
            whole[name] = with_digest(recipe)
        except RecipeError as error:
            problems[recipe.folder] = str(error)
    return whole, problems


def recipes() -> dict[str, Recipe]:
    """Return the usable recipes by name."""
    return look_for_recipes()[0]


def recipe_problems() -> dict[str, str]:
    """Return why recipe folders cannot be used, by folder."""
    return look_for_recipes()[1]


def get_recipe(name: str) -> Recipe:
    """Return the recipe. Raises: InvalidInput naming the ones there are."""
    known = recipes()
    if name not in known:
        raise InvalidInput({"recipe": [f"There is no such recipe; there are {', '.join(sorted(known)) or 'none'}."]})
    return known[name]


def recipe_to_run(name: str) -> Recipe:
    """Return the recipe with the digest of its files. Raises: InvalidInput when it is not there or cannot be read."""
    try:
        return with_digest(get_recipe(name))
    except RecipeError as error:
        raise InvalidInput({"recipe": [f"{name} cannot be run: {error}."]}) from None
