"""Runs side by side: what they were given and what came of it, row by row. No database here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runs.conditions import PARAMETER_ORIGINS
from runs.directions import Direction, direction_of
from runs.models import Run, RunMetric
from runs.panels import group_metrics
from runs.parameters import LOGGED
from runs.recipes import PARAMETER_GROUPS, with_defaults
from trainhub.same import comparable

ABOUT = "run"
METRICS = "metrics"
SYSTEM = "system"  # what the runner measures of the machine
GROUPS = (ABOUT, METRICS, *PARAMETER_ORIGINS, SYSTEM)  # what came of it stands before what was tried

Path = tuple[str, ...]


class _Missing:
    """The value of a parameter or metric that a run does not have; null is a value."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A metric of one run: the newest value with its step, and the extremes over all finite values.

    `final` is None for NaN and the infinities, which `special` names.
    """

    final: float | None
    step: int
    minimum: float | None
    maximum: float | None
    special: str = ""

    @classmethod
    def of(cls, metric: RunMetric) -> Outcome:
        """Return the outcome that a stored newest value holds."""
        return cls(metric.value, metric.step, metric.minimum, metric.maximum, metric.special)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compared of one run: parameters by group and path, and outcomes by metric.

    `defaults` holds the places of the parameters that the run left to its recipe.
    """

    about: Mapping[str, Any]
    parameters: Mapping[str, Mapping[Path, Any]]
    outcomes: Mapping[str, Outcome]
    defaults: frozenset[tuple[str, Path]] = frozenset()


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of one run; `value` is plain JSON, an Outcome, or MISSING. `deviates`: not as that of the first run."""

    value: Any = MISSING
    deviates: bool = False
    is_default: bool = False
    is_best: bool = False

    @property
    def is_missing(self) -> bool:
        """Whether the run has no such parameter or metric."""
        return self.value is MISSING


@dataclass(frozen=True, slots=True)
class Row:
    """A parameter or metric, with a cell for each run in their order; `better` is which way a metric should go."""

    group: str
    name: str
    cells: tuple[Cell, ...]
    better: Direction | None = None
    differs: bool = field(init=False)

    def __post_init__(self) -> None:
        # What differs among any differs from the first.
        object.__setattr__(self, "differs", any(cell.deviates for cell in self.cells))

    @property
    def is_metric(self) -> bool:
        """Whether the cells are outcomes."""
        return self.group in {METRICS, SYSTEM}


def describe(run: Run) -> Subject:
    """Return what is compared of a run, with the defaults of its recipe. Uses the loaded metrics and checkpoint.

    Logged parameters are compared to the letter, where they were loaded (`with_logged_parameters`).
    """
    parameters: dict[str, dict[Path, Any]] = {}
    defaults: set[tuple[str, Path]] = set()
    for group in PARAMETER_GROUPS:
        given = getattr(run, group)
        parameters[group] = dict(flatten(with_defaults(run.recipe_snapshot.get(group, {}), given)))
        defaults.update((group, path) for path in parameters[group] if path[0] not in given)
    parameters[LOGGED] = {(row.name,): row.value or "" for row in getattr(run, "logged", ())}
    outcomes = {metric.key: Outcome.of(metric) for metric in run.newest_metrics.all()}
    return Subject(_about(run), parameters, outcomes, frozenset(defaults))


def _about(run: Run) -> dict[str, Any]:
    start = run.resumed_from
    facts = {
        "recipe": run.recipe or MISSING,
        "recipe digest": run.recipe_digest or MISSING,
        "dataset": run.dataset or MISSING,
        "executor": run.executor or MISSING,
        **{f"compute.{'.'.join(path)}": value for path, value in flatten(run.compute)},
        "resumed from": f"{start.name} of {start.run.name} ({start.uid})" if start else MISSING,
    }
    return {name: value for name, value in facts.items() if value is not MISSING}


def flatten(values: Mapping[str, Any], before: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield path and value of all leaves, `{"lora": {"rank": 8}}` as `("lora", "rank"), 8`; an empty object is one.

    Paths and not dotted names tell rows apart: `{"a.b": 1}` and `{"a": {"b": 1}}` are two things to a trainer.
    """
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, (*before, key))
        else:
            yield (*before, key), value


def compare(subjects: Sequence[Subject]) -> list[Row]:
    """Return all rows, by group in the order of GROUPS and by name; losses lead, facts keep their own order."""
    about = sorted({name: None for one in subjects for name in one.about}, key=_place)
    rows = [_row(ABOUT, name, [one.about.get(name, MISSING) for one in subjects]) for name in about]
    for group in PARAMETER_ORIGINS:
        rows += _parameter_rows(group, subjects)
    keys = sorted({key for one in subjects for key in one.outcomes}, key=lambda key: ("loss" not in key, key))
    rows += [_metric_row(key, subjects) for key in keys]
    return sorted(rows, key=lambda row: GROUPS.index(row.group))


_FACTS = ("recipe", "recipe digest", "dataset", "executor", "compute", "resumed from")


def _place(fact: str) -> int:
    """Return where a fact about runs stands; `compute.gpus` stands with compute."""
    return _FACTS.index(fact.partition(".")[0])


def _row(group: str, name: str, values: Sequence[Any], defaults: Sequence[bool] | None = None) -> Row:
    first = comparable(values[0]) if values else None
    are_defaults = defaults or [False] * len(values)
    return Row(
        group,
        name,
        tuple(
            Cell(value, deviates=comparable(value) != first, is_default=is_default)
            for value, is_default in zip(values, are_defaults, strict=True)
        ),
    )


def _parameter_rows(group: str, subjects: Sequence[Subject]) -> list[Row]:
    paths = sorted({path for one in subjects for path in one.parameters.get(group, ())})
    return [
        _row(
            group,
            ".".join(path),
            [one.parameters.get(group, {}).get(path, MISSING) for one in subjects],
            [(group, path) in one.defaults for one in subjects],
        )
        for path in paths
    ]


def _metric_row(key: str, subjects: Sequence[Subject]) -> Row:
    outcomes = [one.outcomes.get(key) for one in subjects]
    better = direction_of(key)
    finals = [outcome.final if outcome else None for outcome in outcomes]
    best = _best(finals, better)
    first = outcomes[0] if outcomes else None
    cells = tuple(
        Cell(
            MISSING if outcome is None else outcome,
            deviates=outcome != first,
            is_best=best is not None and outcome is not None and outcome.final == best,
        )
        for outcome in outcomes
    )
    return Row(SYSTEM if group_metrics([key])[0].is_system else METRICS, key, cells, better)


def _best(finals: Iterable[float | None], better: Direction | None) -> float | None:
    """Return the best of the newest values; None when nobody knows, or nobody is better than another."""
    known = {value for value in finals if value is not None}
    if better is None or len(known) < 2:
        return None
    return min(known) if better == "lower" else max(known)
