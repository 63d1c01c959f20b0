"""Recipes: folders with a `recipe.toml`, put on the server by operators. No request can introduce a command."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from trainhub.errors import InvalidInput

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MAX_DIGESTED_FILE_BYTES = 1024 * 1024  # larger files in a recipe folder are data, not program
_ANY_OBJECT: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True)
class Recipe:
    """What an operator allows to be executed.

    `command` is an argument list; "{python}" and "{recipe}" in it stand for the interpreter and the recipe's folder.
    `simulated` marks made-up results; with `reserves_compute` false a request for GPUs is recorded but not reserved.
    `checkpoint_pattern` is a glob below the output folder. `digest` is the SHA-256 over the folder's files.
    """

    name: str
    folder: str
    title: str
    command: tuple[str, ...]
    description: str = ""
    python: str = ""
    simulated: bool = False
    reserves_compute: bool = True
    grace_seconds: float = 30
    max_restarts: int = 0
    executors: tuple[str, ...] = ("local",)
    checkpoint_pattern: str = "checkpoints/*"
    complete_marker: str = ""
    default_dataset: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    model_parameters: Mapping[str, Any] = field(default_factory=lambda: _ANY_OBJECT)
    hyperparameters: Mapping[str, Any] = field(default_factory=lambda: _ANY_OBJECT)
    digest: str = ""

    def snapshot(self) -> dict[str, Any]:
        """Return what a run keeps of its recipe, as plain JSON."""
        return {**asdict(self), "command": list(self.command), "executors": list(self.executors)}


class RecipeError(ValueError):
    """A recipe folder that cannot be used; the text says why, for the operator."""


def load_recipe(folder: Path) -> Recipe:
    """Read and check one recipe folder. Raises: RecipeError."""
    if not NAME.fullmatch(folder.name):
        raise RecipeError("the folder's name must be lower-case letters, digits, - and _")
    try:
        declared = _read_declaration((folder / "recipe.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"recipe.toml cannot be read: {error}") from None
    values: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in declared.items()}
    try:
        digest = _digest(folder)
    except OSError as error:
        raise RecipeError(f"a file of the recipe cannot be read: {error.strerror}") from None
    return Recipe(name=folder.name, folder=str(folder), digest=digest, **values)


@lru_cache(maxsize=256)  # parsing and checking the schemas takes 10 ms, and nothing but the text decides the outcome
def _read_declaration(text: str) -> dict[str, Any]:
    declared = tomllib.loads(text)
    unknown = set(declared) - set(_DECLARED)
    if unknown:
        raise RecipeError(f"recipe.toml has unknown keys: {', '.join(sorted(unknown))}")
    for name, value in declared.items():
        if not _DECLARED[name][0](value):
            raise RecipeError(f"{name} must be {_DECLARED[name][1]}")
    if "title" not in declared or "command" not in declared:
        raise RecipeError("title or command is missing")
    try:
        json.dumps(declared, allow_nan=False)  # runs keep a snapshot; TOML knows dates and NaN, JSON does not
    except (TypeError, ValueError) as error:
        raise RecipeError(f"recipe.toml holds what JSON cannot: {error}") from None
    _check_schemas(declared)
    return declared


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


_TEXT = (lambda value: isinstance(value, str), "a text")
_FLAG = (lambda value: isinstance(value, bool), "true or false")
_TABLE = (lambda value: isinstance(value, dict), "a table")
# What a recipe.toml may hold: for each key how it is checked, and what it must be.
_DECLARED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "title": _TEXT,
    "description": _TEXT,
    "command": (_is_list_of_texts, "a list of texts"),
    "python": _TEXT,
    "simulated": _FLAG,
    "reserves_compute": _FLAG,
    "grace_seconds": (_is_number, "a number of seconds"),
    "max_restarts": (lambda value: type(value) is int and 0 <= value <= 100, "a whole number from 0 to 100"),
    "executors": (_is_list_of_texts, "a list of texts"),
    "checkpoint_pattern": _TEXT,
    "complete_marker": _TEXT,
    "default_dataset": _TEXT,
    "environment": (
        lambda value: isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
        "a table of texts",
    ),
    "model_parameters": _TABLE,
    "hyperparameters": _TABLE,
}


def _check_schemas(declared: Mapping[str, Any]) -> None:
    for name in ("model_parameters", "hyperparameters"):
        schema = declared.get(name, _ANY_OBJECT)
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise RecipeError(f"{name} is not a JSON Schema: {error.message}") from None
        problems = list(Draft202012Validator(schema).iter_errors(with_defaults(schema, {})))
        missing = [problem for problem in problems if problem.validator != "required"]
        if missing:
            raise RecipeError(f"{name}: a default breaks its own schema: {missing[0].message}")


def _digest(folder: Path) -> str:
    """Hash the names and bytes of the recipe's files; caches, hidden folders and large data files are left out."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") or part == "__pycache__" for part in relative.parts):
            continue
        if path.is_file() and path.stat().st_size <= MAX_DIGESTED_FILE_BYTES:
            total.update(f"{relative}\0{path.stat().st_size}\0".encode())
            total.update(path.read_bytes())
    return total.hexdigest()


def find_recipes(folders: Iterable[Path]) -> tuple[dict[str, Recipe], dict[str, str]]:
    """Return the usable recipes below `folders` by name, and for the others the problem by folder.

    Of two recipes with one name the first found counts; the second is a problem.
    """
    recipes: dict[str, Recipe] = {}
    problems: dict[str, str] = {}
    for root in folders:
        for declaration in sorted(root.glob("*/recipe.toml")):
            folder = declaration.parent
            try:
                recipe = load_recipe(folder)
            except RecipeError as error:
                problems[str(folder)] = str(error)
                continue
            if recipe.name in recipes:
                problems[str(folder)] = "another folder holds a recipe of this name"
            else:
                recipes[recipe.name] = recipe
    return recipes, problems


def with_defaults(schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with the schema's defaults for what is missing."""
    properties = schema.get("properties", {})
    rules = {
        name: rule for name, rule in properties.items() if isinstance(rule, dict)
    }  # true and false are schemas too
    return {**{name: rule["default"] for name, rule in rules.items() if "default" in rule}, **values}


def known_to(schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of `values` what the schema takes: a project's defaults may be meant for another recipe."""
    if schema.get("additionalProperties", True) is not False:
        return dict(values)
    return {name: value for name, value in values.items() if name in schema.get("properties", {})}


def check_values(recipe: Recipe, **groups: Mapping[str, Any]) -> None:
    """Check groups of values (`model_parameters`, `hyperparameters`) against the recipe's schemas.

    Raises: InvalidInput with one sentence for each problem, under the group's name.
    """
    problems = {}
    for group, values in groups.items():
        schema = getattr(recipe, group)
        validator = Draft202012Validator(schema)
        found = sorted(validator.iter_errors(with_defaults(schema, values)), key=lambda problem: problem.json_path)
        if found:
            problems[group] = [_sentence(problem) for problem in found[:20]]
    if problems:
        raise InvalidInput(problems)


def _sentence(problem: ValidationError) -> str:
    """Name the parameter and what is wrong, without repeating a long value."""
    name = ".".join(str(part) for part in problem.absolute_path)
    text = problem.message if len(problem.message) <= 300 else f"{problem.message[:300]}…"
    return f"{name}: {text}" if name else text
