"""Reads and checks the file in which an operator declares the executors. No Django here.

    default = "local"

    [executors.local]
    kind = "local"
    slots = 4

One executor that is declared wrongly is a problem of its own and disturbs no other; docs/executors.md has all keys.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runs.executors.slurm_rules import SlurmRules

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MAX_FILE_BYTES = 1024 * 1024  # a larger file is a mistake, not a list of executors
MAX_SLOTS = 100_000
MAX_MINUTES = 5_256_000  # ten years
Check = tuple[Callable[[Any], bool], str]


class ConfigurationError(ValueError):
    """Something in the file cannot be used; the text is a sentence that names file and key."""


@dataclass(frozen=True)
class LocalSettings:
    """The executor that runs attempts on the hub's own machine. `gpus`: None counts them with nvidia-smi."""

    slots: int = 4
    gpus: int | None = None
    max_time_limit_minutes: int | None = None
    kind: str = "local"


@dataclass(frozen=True)
class BrokenSettings:
    """An executor that is declared wrongly; `problem` says how, as a sentence."""

    problem: str
    kind: str = "missing"


@dataclass(frozen=True)
class SlurmSettings:
    """A Slurm cluster; the fields are those of `SlurmExecutor`.

    `folder` holds the attempts, on a file system that all nodes share; None takes the hub's own. `python` is the
    runner's interpreter on the nodes.
    """

    nodes: int
    gpus: int
    slots: int = 100
    folder: Path | None = None
    python: str = "/usr/bin/python3"
    runner_root: Path | None = None
    programs: Path | None = None
    slurm_conf: Path | None = None
    poll_seconds: float = 2.0
    rules: SlurmRules = field(default_factory=SlurmRules)
    kind: str = "slurm"


Settings = LocalSettings | SlurmSettings | BrokenSettings


@dataclass(frozen=True)
class Configuration:
    """What the file declares: the executors by name, in its order, and the one that runs go to which name none.

    `problems` are sentences about the file itself; those of its executors are in their settings.
    """

    default: str
    executors: Mapping[str, Settings]
    problems: tuple[str, ...] = field(default=())


def read_configuration(path: Path) -> Configuration:
    """Read and check the file. Raises: ConfigurationError when nothing in it can be used."""
    file = path.name
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigurationError(f"{file} is larger than {MAX_FILE_BYTES // 1024} KiB.")
        declared = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{file} is not TOML: {error}.") from None
    tables = declared.get("executors")
    if not isinstance(tables, dict) or not tables:
        raise ConfigurationError(f"{file} declares no executor: it needs a table such as [executors.local].")
    executors = _only_one_local(file, {name: _read_executor(file, name, table) for name, table in tables.items()})
    default, problems = _read_default(file, declared, executors)
    unknown = sorted(set(declared) - {"default", "executors"})
    problems += [f"{file}: {key} is not known; there are default and executors." for key in unknown]
    return Configuration(default, executors, tuple(problems))


def _read_default(file: str, declared: Mapping[str, Any], executors: Mapping[str, Settings]) -> tuple[str, list[str]]:
    """Return the default, and what is wrong with it. Without one it is `local` where there is one, else the first."""
    fallback = "local" if "local" in executors else next(iter(executors))
    if "default" not in declared:
        return fallback, []
    named = declared["default"]
    if isinstance(named, str) and named in executors:
        return named, []
    return fallback, [f"{file}: default must be one of {', '.join(executors)}; {fallback} is taken meanwhile."]


def _read_executor(file: str, name: str, table: Any) -> Settings:
    place = f"{file}: executors.{name}"
    kind = table.get("kind") if isinstance(table, dict) else None
    try:
        if not NAME.fullmatch(name):
            raise ConfigurationError(f"{place} must be named by lower-case letters, digits, - and _, at most 64.")
        if not isinstance(table, dict):
            raise ConfigurationError(f"{place} must be a table.")
        if not isinstance(kind, str) or kind not in _KINDS:
            raise ConfigurationError(f"{place}.kind must be one of {', '.join(_KINDS)}.")
        return _KINDS[kind](place, {key: value for key, value in table.items() if key != "kind"})
    except ConfigurationError as error:
        return BrokenSettings(str(error), kind if isinstance(kind, str) and kind in _KINDS else "missing")


def _only_one_local(file: str, executors: dict[str, Settings]) -> dict[str, Settings]:
    """Let the first executor of this machine stand: two would give the same GPUs and slots away twice."""
    local = [name for name, settings in executors.items() if isinstance(settings, LocalSettings)]
    for name in local[1:]:
        problem = f"{file}: executors.{name} cannot be of kind local too: {local[0]} is, and there is one machine."
        executors[name] = BrokenSettings(problem, "local")
    return executors


def check_keys(place: str, table: Mapping[str, Any], keys: Mapping[str, Check]) -> None:
    """Check the names and values of a table. Raises: ConfigurationError naming the first that is wrong."""
    for key, value in table.items():
        if key not in keys:
            raise ConfigurationError(f"{place}.{key} is not known; there are {', '.join(sorted(keys))}.")
        is_good, meaning = keys[key]
        if not is_good(value):
            raise ConfigurationError(f"{place}.{key} must be {meaning}.")


def whole(low: int, high: int) -> Check:
    """Return the check of a whole number from `low` to `high`."""
    return lambda value: type(value) is int and low <= value <= high, f"a whole number from {low} to {high}"


_LOCAL_KEYS: Mapping[str, Check] = {
    "slots": whole(1, MAX_SLOTS),
    "gpus": whole(0, 1024),
    "max_time_limit_minutes": whole(1, MAX_MINUTES),
}


def _read_local(place: str, table: Mapping[str, Any]) -> LocalSettings:
    check_keys(place, table, _LOCAL_KEYS)
    return LocalSettings(**table)


# What users may choose is a list, of which the first is used when nothing is chosen; a text is a list of one.
_LISTS = {"partition": "partitions", "account": "accounts", "qos": "qos", "constraint": "constraints"}
_TEXTS: Check = (
    lambda value: isinstance(value, str | list) and all(isinstance(item, str) for item in value),
    "a text or a list of texts",
)
_RULE_KEYS: Mapping[str, Check] = {
    **{key: _TEXTS for pair in _LISTS.items() for key in pair},
    "memory_mb_per_node": whole(1, 2**31),
    "memory_mb_per_gpu": whole(1, 2**31),
    "cpus_per_node": whole(1, 2**31),
    "time_limit_minutes": whole(1, MAX_MINUTES),
    "max_time_limit_minutes": whole(1, MAX_MINUTES),
    "extra": _TEXTS,
}
_PATHS = ("folder", "python", "runner_root", "programs", "slurm_conf")
_SLURM_KEYS: Mapping[str, Check] = {
    **_RULE_KEYS,
    **dict.fromkeys(_PATHS, (lambda value: isinstance(value, str) and value.startswith("/"), "an absolute path")),
    "slots": whole(1, MAX_SLOTS),
    "gpus": whole(0, 1_000_000),
    "nodes": whole(1, 1_000_000),
    "poll_seconds": (lambda value: type(value) in {int, float} and 0.1 <= value <= 60, "a number from 0.1 to 60"),
    "recipes": (lambda value: isinstance(value, dict), "a table of recipes"),
}


def _read_slurm(place: str, table: Mapping[str, Any]) -> SlurmSettings:
    check_keys(place, table, _SLURM_KEYS)
    for key in ("nodes", "gpus"):
        if key not in table:
            raise ConfigurationError(f"{place}.{key} is missing: how many there are, to tell what never fits.")
    rules = {key: value for key, value in table.items() if key in _RULE_KEYS}
    recipes = {}
    for recipe, changes in table.get("recipes", {}).items():
        if not isinstance(changes, dict):
            raise ConfigurationError(f"{place}.recipes.{recipe} must be a table.")
        check_keys(f"{place}.recipes.{recipe}", changes, _RULE_KEYS)
        recipes[recipe] = _rules_of(place, changes)
    try:
        checked = SlurmRules(**_rules_of(place, rules), recipes=recipes)
    except ValueError as error:
        raise ConfigurationError(f"{place}: {error}") from None
    plain = {key: value for key, value in table.items() if key not in _RULE_KEYS and key != "recipes"}
    paths = {key: Path(plain[key]) for key in _PATHS if key in plain and key != "python"}
    return SlurmSettings(**{**plain, **paths}, rules=checked)


def _rules_of(place: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of SlurmRules that a table gives. Raises: ConfigurationError for one given twice."""
    fields: dict[str, Any] = {}
    for key, value in table.items():
        name = _LISTS.get(key, key)
        if name in fields:
            raise ConfigurationError(f"{place}: {key} says again what {name} says.")
        is_list = name in _LISTS.values() or name == "extra"
        fields[name] = ((value,) if isinstance(value, str) else tuple(value)) if is_list else value
    return fields


_KINDS: Mapping[str, Callable[[str, Mapping[str, Any]], Settings]] = {"local": _read_local, "slurm": _read_slurm}
