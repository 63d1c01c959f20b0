"""What the operator sets for jobs in Slurm. No Django here: the values arrive as arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from runs.executors.base import Choice

# Names of a Slurm site; a constraint may also combine features: a100&ib, [rack1|rack2], a100*2.
_NAME = re.compile(r"[\w.:+@-]+", re.ASCII)
_CONSTRAINT = re.compile(r"[\w.:+@&|*,()\[\]-]+", re.ASCII)
_OPTION = re.compile(r"--([a-z][a-z0-9-]*)(=[!-~]+)?", re.ASCII)  # one option, no blank, nothing that ends the line
# What trainhub itself says of every job; another word on it would break its promises.
_TAKEN = frozenset({
    "array", "batch", "chdir", "comment", "dependency", "error", "export", "export-file", "gpus-per-node", "input",
    "job-name", "no-requeue", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output", "parsable", "propagate",
    "requeue", "signal", "time", "uid", "wait", "wrap",
})  # fmt: skip
MAX_MINUTES = 365 * 24 * 60


@dataclass(frozen=True)
class SlurmRules:
    """What every job is asked with.

    `partitions`, `accounts`, `qos` and `constraints` list what users may choose; the first of each is used when
    nothing is chosen, and an empty list leaves it to Slurm. `memory_mb_per_node` or `memory_mb_per_gpu` (at most one of
    them) and `cpus_per_node` are whole numbers from 1, None for Slurm's default. A run ends after
    `time_limit_minutes` unless it asks for another time, None for the partition's; nothing may ask for more than
    `max_time_limit_minutes`. `extra` are further options of sbatch, such as `--exclusive` or `--reservation=night`.
    `recipes` maps the name of a recipe to fields that are replaced for its runs; the one memory replaces the other.

    Raises: ValueError with a sentence for the operator, for a value that cannot stand in a directive.
    """

    partitions: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    memory_mb_per_node: int | None = None
    memory_mb_per_gpu: int | None = None
    cpus_per_node: int | None = None
    time_limit_minutes: int | None = None
    max_time_limit_minutes: int | None = None
    extra: tuple[str, ...] = ()
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("partitions", "accounts", "qos", "constraints"):
            pattern = _CONSTRAINT if name == "constraints" else _NAME
            _check_texts(name, getattr(self, name), pattern)
        _check_texts("extra", self.extra, _OPTION)
        for option in self.extra:
            if _words_of(option) & _TAKEN:
                raise ValueError(f"extra: {option} is trainhub's own to say.")
        for name in ("memory_mb_per_node", "memory_mb_per_gpu", "cpus_per_node"):
            _check_number(name, getattr(self, name), high=2**31)
        for name in ("time_limit_minutes", "max_time_limit_minutes"):
            _check_number(name, getattr(self, name), high=MAX_MINUTES)
        if self.memory_mb_per_node and self.memory_mb_per_gpu:
            raise ValueError("memory_mb_per_node and memory_mb_per_gpu exclude each other.")
        if (self.time_limit_minutes or 0) > (self.max_time_limit_minutes or MAX_MINUTES):
            raise ValueError("time_limit_minutes is more than max_time_limit_minutes.")
        for recipe in self.recipes:
            self.for_recipe(recipe)

    def for_recipe(self, recipe: str) -> SlurmRules:
        """Return the rules for runs of a recipe. Raises: ValueError when its fields are not such."""
        changes = self.recipes.get(recipe)
        if changes is None:
            return self
        known = {one.name for one in fields(self)} - {"recipes"}
        if unknown := sorted(set(changes) - known):
            raise ValueError(
                f"recipes.{recipe}: there is no {', '.join(unknown)}; there are {', '.join(sorted(known))}."
            )
        memory = {"memory_mb_per_node", "memory_mb_per_gpu"}
        instead: dict[str, Any] = dict.fromkeys(memory - set(changes)) if memory & set(changes) else {}
        return replace(self, **changes, **instead, recipes={})

    def choices(self) -> tuple[Choice, ...]:
        """Return what users may choose: everything with at least two values."""
        titles = {
            "partition": "Partition",
            "account": "Account",
            "qos": "Quality of service",
            "constraint": "Nodes with",
        }
        return tuple(
            Choice(name=name, title=titles[name], values=values, default=values[0])
            for name, values in self.allowed().items()
            if len(values) > 1
        )

    def allowed(self) -> dict[str, tuple[str, ...]]:
        """Return the allowed values by the name of the choice, which is the name of sbatch's option too."""
        return {
            "partition": self.partitions,
            "account": self.accounts,
            "qos": self.qos,
            "constraint": self.constraints,
        }


def _words_of(option: str) -> set[str]:
    """Return every option that sbatch may take `option` for: it also takes unambiguous beginnings of names."""
    name = option.removeprefix("--").partition("=")[0]
    return {taken for taken in _TAKEN if taken.startswith(name)} if name not in _TAKEN else {name}


def _check_texts(name: str, values: object, pattern: re.Pattern[str]) -> None:
    if not isinstance(values, tuple) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} must be a tuple of texts.")
    for value in values:
        if not pattern.fullmatch(value):
            raise ValueError(f"{name}: {value!r} cannot be given to Slurm.")
    if len(set(values)) < len(values):
        raise ValueError(f"{name} names a value twice.")


def _check_number(name: str, value: object, *, high: int) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= high:
        raise ValueError(f"{name} must be a whole number from 1 to {high}.")
