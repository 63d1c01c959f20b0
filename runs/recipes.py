"""Recipes: folders with a `recipe.toml`, put on the server by operators. No request can introduce a command."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from trainhub.errors import InvalidInput

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MAX_DIGESTED_FILE_BYTES = 1024 * 1024  # larger files in a recipe folder are data, not program
PARAMETER_GROUPS = ("model_parameters", "hyperparameters")
_ANY_OBJECT: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True)
class Recipe:
    """What an operator allows to be executed.

    `command` is an argument list; "{python}" and "{recipe}" in it stand for the interpreter and the recipe's folder.
    "{recipe}" may stand in `python` too. `setup` is the command with which an operator makes that interpreter.
    `simulated` marks made-up results; with `reserves_compute` false a request for GPUs is recorded but not reserved.
    With `multi_node` a run may ask for several nodes, and the command is started on each of them.
    `checkpoint_pattern` is a glob below the output folder; `checkpoints` names the parameters that say how often one is
    saved (`interval`) and for how long (`steps`). `digest` is the SHA-256 over the folder's files, empty until
    `with_digest` reads them.
    """

    name: str
    folder: str
    title: str
    command: tuple[str, ...]
    description: str = ""
    python: str = ""
    setup: str = ""
    simulated: bool = False
    reserves_compute: bool = True
    multi_node: bool = False
    grace_seconds: float = 30
    max_restarts: int = 0
    no_restart_exit_codes: tuple[int, ...] = ()
    executors: tuple[str, ...] = ("local",)
    checkpoint_pattern: str = "checkpoints/*"
    complete_marker: str = ""
    checkpoints: Mapping[str, Any] = field(default_factory=dict)
    default_dataset: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    model_parameters: Mapping[str, Any] = field(default_factory=lambda: _ANY_OBJECT)
    hyperparameters: Mapping[str, Any] = field(default_factory=lambda: _ANY_OBJECT)
    digest: str = ""

    @property
    def is_set_up(self) -> bool:
        """Whether the interpreter that `setup` makes is there; true for a recipe that declares no `setup`."""
        return not self.setup or shutil.which(at_folder(self.python, self.folder)) is not None

    def snapshot(self) -> dict[str, Any]:
        """Return what a run keeps of its recipe, as plain JSON."""
        lists = ("command", "executors", "no_restart_exit_codes")
        return {**asdict(self), **{name: list(getattr(self, name)) for name in lists}}


def at_folder(text: str, folder: str) -> str:
    """Return `text` with the recipe's folder for "{recipe}"."""
    return text.replace("{recipe}", folder)


class RecipeError(ValueError):
    """A recipe folder that cannot be used; the text says why, for the operator."""


def load_recipe(folder: Path) -> Recipe:
    """Read and check the declaration of one recipe folder; the digest is left out. Raises: RecipeError."""
    if not NAME.fullmatch(folder.name):
        raise RecipeError("the folder's name must be lower-case letters, digits, - and _")
    try:
        declared = _read_declaration((folder / "recipe.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"recipe.toml cannot be read: {error}") from None
    values: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in declared.items()}
    return Recipe(name=folder.name, folder=str(folder), **values)


def with_digest(recipe: Recipe) -> Recipe:
    """Return the recipe with the digest of its files as they are now; reads them all. Raises: RecipeError."""
    try:
        return replace(recipe, digest=digest_folder(Path(recipe.folder)))
    except OSError as error:
        raise RecipeError(f"a file of the recipe cannot be read: {error.strerror}") from None


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
    if declared.get("setup") and not declared.get("python"):
        raise RecipeError("setup needs python: the interpreter that it makes")
    try:
        json.dumps(declared, allow_nan=False)  # runs keep a snapshot; TOML knows dates and NaN, JSON does not
    except (TypeError, ValueError) as error:
        raise RecipeError(f"recipe.toml holds what JSON cannot: {error}") from None
    _check_schemas(declared)
    _check_checkpoints(declared)
    return declared


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_list_of_exit_codes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 1 <= item <= 255 for item in value)


_TEXT = (lambda value: isinstance(value, str), "a text")
_FLAG = (lambda value: isinstance(value, bool), "true or false")
_TABLE = (lambda value: isinstance(value, dict), "a table")
# What a recipe.toml may hold: for each key how it is checked, and what it must be.
_DECLARED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "title": _TEXT,
    "description": _TEXT,
    "command": (_is_list_of_texts, "a list of texts"),
    "python": _TEXT,
    "setup": _TEXT,
    "simulated": _FLAG,
    "reserves_compute": _FLAG,
    "multi_node": _FLAG,
    "grace_seconds": (_is_number, "a number of seconds"),
    "max_restarts": (lambda value: type(value) is int and 0 <= value <= 100, "a whole number from 0 to 100"),
    "no_restart_exit_codes": (_is_list_of_exit_codes, "a list of whole numbers from 1 to 255"),
    "executors": (_is_list_of_texts, "a list of texts"),
    "checkpoint_pattern": _TEXT,
    "complete_marker": _TEXT,
    "checkpoints": _TABLE,
    "default_dataset": _TEXT,
    "environment": (
        lambda value: isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
        "a table of texts",
    ),
    "model_parameters": _TABLE,
    "hyperparameters": _TABLE,
}


def _check_schemas(declared: Mapping[str, Any]) -> None:
    for name in PARAMETER_GROUPS:
        schema = declared.get(name, _ANY_OBJECT)
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise RecipeError(f"{name} is not a JSON Schema: {error.message}") from None
        problems = list(Draft202012Validator(schema).iter_errors(with_defaults(schema, {})))
        missing = [problem for problem in problems if problem.validator != "required"]
        if missing:
            raise RecipeError(f"{name}: a default breaks its own schema: {missing[0].message}")


def _check_checkpoints(declared: Mapping[str, Any]) -> None:
    """Check that `[checkpoints]` names parameters of the recipe; of several intervals the first that is set counts."""
    table = declared.get("checkpoints")
    if table is None:
        return
    interval, steps = table.get("interval"), table.get("steps")
    names = [interval] if isinstance(interval, str) else interval
    if set(table) != {"interval", "steps"} or not _is_list_of_texts(names) or not isinstance(steps, str):
        raise RecipeError("checkpoints must have interval (a parameter's name or a list of them) and steps (a name)")
    known = {name for group in PARAMETER_GROUPS for name in declared.get(group, {}).get("properties", {})}
    unknown = sorted({*names, steps} - known)
    if unknown:
        raise RecipeError(f"checkpoints names no parameter of this recipe: {', '.join(unknown)}")


def digest_folder(folder: Path) -> str:
    """Hash the names and bytes of the recipe's files; caches, hidden folders and large data files are left out.

    Raises: OSError.
    """
    total = hashlib.sha256()
    for path in sorted(_program_files(folder)):
        if path.is_file() and path.stat().st_size <= MAX_DIGESTED_FILE_BYTES:
            name = os.fsencode(path.relative_to(folder))  # a name of bytes that are no UTF-8 counts as well
            total.update(name + f"\0{path.stat().st_size}\0".encode())
            total.update(path.read_bytes())
    return total.hexdigest()


def _program_files(folder: Path) -> Iterator[Path]:
    """Yield what lies below the folder; a hidden one may hold an environment of 40,000 files and is not entered."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        yield from (Path(parent, name) for name in names if not name.startswith(".") and name != "__pycache__")


def shown_folder(folder: Path) -> str:
    """Return a folder's path as a page can show it; bytes that are no UTF-8 become U+FFFD."""
    return os.fsencode(folder).decode(errors="replace")


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
                problems[shown_folder(folder)] = str(error)
                continue
            if recipe.name in recipes:
                problems[shown_folder(folder)] = "another folder holds a recipe of this name"
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


class ParametersRefused(InvalidInput):
    """The recipe's schema refuses parameters; `problems` holds (group, parameter or "", sentence) for each."""

    def __init__(self, problems: list[tuple[str, str, str]]) -> None:
        fields: dict[str, list[str]] = {}
        for group, name, sentence in problems:
            fields.setdefault(group, []).append(f"{name}: {sentence}" if name else sentence)
        super().__init__(fields)
        self.problems = problems


def check_values(recipe: Recipe, **groups: Mapping[str, Any]) -> None:
    """Check groups of values (`model_parameters`, `hyperparameters`) against the recipe's schemas.

    Raises: ParametersRefused with one sentence for each problem, at most 20 of a group.
    """
    problems = []
    for group, values in groups.items():
        schema = getattr(recipe, group)
        validator = Draft202012Validator(schema)
        found = sorted(validator.iter_errors(with_defaults(schema, values)), key=lambda problem: problem.json_path)
        problems += [(group, *_described(problem)) for problem in found[:20]]
    if problems:
        raise ParametersRefused(problems)


def check_nodes(recipe: Recipe, compute: Mapping[str, Any]) -> None:
    """Check that the recipe can use as many nodes as a run asks for; one that reserves nothing only records them.

    Raises: ParametersRefused, of the group `compute`.
    """
    if compute.get("node_count", 1) > 1 and recipe.reserves_compute and not recipe.multi_node:
        sentence = f"The recipe {recipe.name} trains on one node; several would train the same several times."
        raise ParametersRefused([("compute", "node_count", sentence)])


def _described(problem: ValidationError) -> tuple[str, str]:
    """Return the parameter's name and what is wrong, without repeating a long value."""
    name = ".".join(str(part) for part in problem.absolute_path)
    return name, problem.message if len(problem.message) <= 300 else f"{problem.message[:300]}…"
