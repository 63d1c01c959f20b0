"""Which checkpoints would go by a rule, and what keeps the others: read from the database, nothing is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, QuerySet

from artifacts.keeping.rule import (
    RULE_FIELDS,
    SETTLED_AFTER,
    Checkpoint,
    CheckpointRule,
    Holds,
    Reason,
    Verdict,
    judge_run,
    may_count,
)
from artifacts.keeping.ties import read_ties
from artifacts.models import Artifact, ArtifactState, ArtifactType
from projects.models import Project
from runs.telemetry.at_steps import Mark, read_values_of_runs

MOST_RUNS = 500  # judged within a request: a few seconds; `manage.py retention --dry-run` judges all
RUNS_AT_ONCE = 50  # judged with the same few queries
_WITH_BYTES = (ArtifactState.COMPLETE, ArtifactState.VERIFIED, ArtifactState.CORRUPT)


@dataclass(frozen=True, slots=True)
class RunCheckpoints:
    """The checkpoints of one run that have their bytes, and the rule of its project."""

    rule: CheckpointRule
    checkpoints: list[Checkpoint]

    def has_excess(self) -> bool:
        """Tell whether the rule could let any of them go."""
        return self.rule.last is not None and sum(one.step is not None for one in self.checkpoints) > self.rule.last


def checkpoints_with_bytes() -> QuerySet[Artifact]:
    """Return the whole checkpoints of runs that were not deleted."""
    return Artifact.objects.filter(type=ArtifactType.CHECKPOINT, state__in=_WITH_BYTES, run__deleted_at=None)


def load_runs(run_ids: Collection[int], *, rule: CheckpointRule | None = None) -> dict[int, RunCheckpoints]:
    """Return what some runs have, by the key of the run; `rule` takes the place of their projects'. One query."""
    rules = [f"run__project__{name}" for name in RULE_FIELDS]
    rows = checkpoints_with_bytes().filter(run__in=run_ids).order_by("run_id", "pk")
    found: dict[int, RunCheckpoints] = {}
    for row in rows.values_list(*_COLUMNS, *rules):
        state, ended_at, history_removed_at = row[_PLAIN : len(_COLUMNS)]
        columns: list[Any] = [*row[:_PLAIN], ArtifactState(state), ended_at, history_removed_at is None]
        one = Checkpoint(*columns)
        own = rule or CheckpointRule.of_columns(*row[len(_COLUMNS) :])
        found.setdefault(one.run_id, RunCheckpoints(own, [])).checkpoints.append(one)
    return found


_COLUMNS = (
    *("pk", "uid", "name", "step", "size_bytes", "created_at", "attempt__number"),
    *("run_id", "run__uid", "run__name"),
    *("state", "run__completed_at", "run__metrics_removed_at"),
)
_PLAIN = len(_COLUMNS) - 3  # are fields of a Checkpoint as they are


def read_values(runs: Iterable[RunCheckpoints]) -> dict[int, float]:
    """Return the metric of its rule at each checkpoint that has one, by the key of the artifact. Six queries at most.

    As everywhere it is the newest value at the step or near before it. Only runs whose rule may let go of something
    are looked at.
    """
    looked_at = [run for run in runs if run.rule.needs_values and run.has_excess()]
    wanted = {run.rule.metric for run in looked_at}
    counted = {run.checkpoints[0].run_id: [one for one in run.checkpoints if may_count(one)] for run in looked_at}
    marks = {run_id: [Mark(one.step or 0, one.attempt) for one in some] for run_id, some in counted.items()}
    _, found = read_values_of_runs(marks=marks, choose=lambda names: sorted(wanted.intersection(names)))
    return {
        one.artifact_id: near[run.rule.metric].value
        for run, (run_id, some) in zip(looked_at, counted.items(), strict=True)
        for one, near in zip(some, found[run_id], strict=True)
        if run.rule.metric in near
    }


def judge(
    runs: Mapping[int, RunCheckpoints],
    *,
    ties: Mapping[int, Sequence[Reason]],
    values: Mapping[int, float],
    now: datetime,
) -> Iterator[Verdict]:
    """Yield what becomes of each checkpoint, run by run, newest first."""
    for run in runs.values():
        own = {one.artifact_id: values[one.artifact_id] for one in run.checkpoints if one.artifact_id in values}
        yield from judge_run(run.checkpoints, run.rule, ties=ties, values=own, now=now)


def verdicts_of(run_ids: Collection[int], *, now: datetime, rule: CheckpointRule | None = None) -> list[Verdict]:
    """Return what becomes of each checkpoint of some runs. Eight queries at most, whatever the number of runs."""
    runs = load_runs(run_ids, rule=rule)
    return list(judge(runs, ties=read_ties(run_ids), values=read_values(runs.values()), now=now))


def runs_with_excess(projects: QuerySet[Project], *, now: datetime, last: int | None = None) -> QuerySet[Any, Any]:
    """Return the keys of settled runs that have more checkpoints than their rule keeps of the newest, in order.

    `last` takes the place of their projects' own number.
    """
    rows = checkpoints_with_bytes().filter(
        step__isnull=False, run__project__in=projects, run__completed_at__lte=now - SETTLED_AFTER
    )
    kept = F("run__project__keep_last_checkpoints") if last is None else last
    counted = rows.order_by().values("run_id", "run__project__keep_last_checkpoints").annotate(count=Count("pk"))
    return counted.filter(count__gt=kept).order_by("run_id").values_list("run_id", flat=True)


@dataclass(frozen=True, slots=True)
class CheckpointPlan:
    """What would go of a project by a rule now.

    `runs_seen` runs had more checkpoints than the newest it keeps. `untold` checkpoints stay only because nobody can
    tell which are the best. `runs_left` of the runs seen were not judged.
    """

    rule: CheckpointRule
    going: list[Verdict]
    runs_seen: int
    untold: int
    runs_left: int = 0

    @property
    def size_bytes(self) -> int:
        """How many bytes would become free."""
        return sum(verdict.checkpoint.size_bytes for verdict in self.going)

    @property
    def runs(self) -> int:
        """From how many runs something would go."""
        return len({verdict.checkpoint.run_id for verdict in self.going})


def plan_project(
    project: Project, rule: CheckpointRule, *, now: datetime, most_runs: int | None = None
) -> CheckpointPlan:
    """Return what would go of a project by `rule`, oldest runs first. Nothing is changed.

    A query for all, and at most eight for every RUNS_AT_ONCE runs that have more checkpoints than it keeps. At most
    `most_runs` are judged, for somebody who waits for the answer; None judges all.
    """
    if rule.last is None:
        return CheckpointPlan(rule, [], runs_seen=0, untold=0)
    own = Project.objects.filter(pk=project.pk).order_by()
    found = list(runs_with_excess(own, now=now, last=rule.last))
    judged = found[:most_runs]
    going: list[Verdict] = []
    untold = 0
    for start in range(0, len(judged), RUNS_AT_ONCE):
        verdicts = verdicts_of(judged[start : start + RUNS_AT_ONCE], now=now, rule=rule)
        going += [verdict for verdict in verdicts if verdict.goes]
        untold += sum({reason.kind for reason in verdict.kept_by} == {Holds.UNKNOWN_BEST} for verdict in verdicts)
    return CheckpointPlan(rule, going, len(found), untold, runs_left=len(found) - len(judged))
