"""The rule by which ended runs keep their checkpoints, and what it says of each: no query, no clock.

A rule keeps the newest n checkpoints of a run, and besides the m with the best value of a metric. It speaks of whole
checkpoints that have a step: one without is what a program left at last, such as an exported model, and stays. Damaged
ones never count among the n or m; one goes when as many good ones are newer as the rule keeps. What has not been
compared with its hashes yet may turn out damaged: until then it stays, and counts as little.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from artifacts.models import ArtifactState
from projects.models import MetricGoal, Project

SETTLED_AFTER = timedelta(hours=1)  # after its end a run may still be looked at, tagged, or get late values
RULE_FIELDS = ("keep_last_checkpoints", "keep_best_checkpoints", "best_metric", "best_metric_goal")


class Holds(StrEnum):
    """What can keep a checkpoint: what is built on it, where its run stands, and the rule."""

    TAG = "tag"
    RESUMED = "resumed"
    RESTORED = "restored"
    REGISTERED = "registered"
    LOGGED = "logged"
    NO_RULE = "no_rule"
    NO_STEP = "no_step"
    UNREAD = "unread"
    LIVE = "live"
    RECENT = "recent"
    NEWEST = "newest"
    BEST = "best"
    UNKNOWN_BEST = "unknown_best"


@dataclass(frozen=True, slots=True)
class Reason:
    """What keeps a checkpoint; `text` says it in words that go on from “kept: ”."""

    kind: Holds
    text: str


@dataclass(frozen=True, slots=True)
class CheckpointRule:
    """How many checkpoints an ended run keeps: the `last` newest, None for all, and `best` by `metric` besides."""

    last: int | None
    best: int = 0
    metric: str = ""
    goal: MetricGoal = MetricGoal.MINIMUM

    @classmethod
    def of(cls, project: Project) -> Self:
        """Return the rule of a project."""
        return cls.of_columns(*(getattr(project, name) for name in RULE_FIELDS))

    @classmethod
    def of_columns(cls, *columns: Any) -> Self:
        """Return the rule that the values of RULE_FIELDS tell, in their order."""
        last, best, metric, goal = columns
        return cls(last, best, metric, MetricGoal(goal))

    @property
    def needs_values(self) -> bool:
        """Whether it looks at a metric."""
        return self.last is not None and self.best > 0 and bool(self.metric)

    def __str__(self) -> str:
        """Say what an ended run keeps."""
        if self.last is None:
            return "all checkpoints"
        newest = "the newest checkpoint" if self.last == 1 else f"the {self.last} newest checkpoints"
        if not self.needs_values:
            return newest
        word = "lowest" if self.goal == MetricGoal.MINIMUM else "highest"
        best = "the one" if self.best == 1 else f"the {self.best}"
        return f"{newest} and {best} with the {word} {self.metric}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint and what is to be known of its run: `ended_at` is None while that goes on."""

    artifact_id: int
    uid: str
    name: str
    step: int | None
    size_bytes: int
    created_at: datetime
    attempt: int | None
    run_id: int
    run_uid: str
    run_name: str
    state: ArtifactState
    ended_at: datetime | None
    has_history: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a checkpoint: it goes when nothing keeps it, and `why` says so in words."""

    checkpoint: Checkpoint
    kept_by: tuple[Reason, ...]
    why: str

    @property
    def goes(self) -> bool:
        """Whether nothing keeps it."""
        return not self.kept_by


def may_count(checkpoint: Checkpoint) -> bool:
    """Tell whether a rule counts the checkpoint among the newest and best."""
    return checkpoint.step is not None and checkpoint.state == ArtifactState.VERIFIED


def judge_run(
    checkpoints: Sequence[Checkpoint],
    rule: CheckpointRule,
    *,
    ties: Mapping[int, Collection[Reason]],
    values: Mapping[int, float],
    now: datetime,
) -> list[Verdict]:
    """Return what becomes of each checkpoint of one run, newest first.

    Args:
        checkpoints: all that the run has with their bytes, in any order.
        rule: the rule of its project.
        ties: by `artifact_id` what is built on it.
        values: by `artifact_id` the metric at its step, NaN and infinities too; missing where there is none.
        now: the moment to judge by.
    """
    ordered = sorted(checkpoints, key=lambda one: (one.created_at, one.artifact_id), reverse=True)
    best = _best(ordered, rule, values)
    verdicts, newer = [], 0
    for one in ordered:
        reasons = [*ties.get(one.artifact_id, ()), *_by_rule(one, rule, newer, now)]
        if rule.needs_values and not reasons:
            reasons += _by_value(one, rule, best, values)
        elif one.artifact_id in best:
            reasons.append(_best_reason(rule, values[one.artifact_id]))
        verdicts.append(Verdict(one, tuple(reasons), _why(one, rule, reasons, values)))
        newer += may_count(one)
    return verdicts


def _by_rule(one: Checkpoint, rule: CheckpointRule, newer: int, now: datetime) -> list[Reason]:
    """Return what keeps a checkpoint whatever its values are; `newer` good ones are newer."""
    if rule.last is None:
        return [Reason(Holds.NO_RULE, "the project keeps all checkpoints")]
    if one.ended_at is None:
        return [Reason(Holds.LIVE, "its run has not ended")]
    if uncounted := _uncounted(one):
        return uncounted
    if newer < rule.last:
        text = "it is the newest of its run" if rule.last == 1 else f"it is among the {rule.last} newest of its run"
        return [Reason(Holds.NEWEST, text)]
    if one.ended_at > now - SETTLED_AFTER:
        return [Reason(Holds.RECENT, "its run ended less than an hour ago")]
    return []


def _uncounted(one: Checkpoint) -> list[Reason]:
    """Return why a checkpoint stays although it does not count."""
    if one.step is None:
        return [Reason(Holds.NO_STEP, "it has no step, so that the rule does not count it")]
    if one.state == ArtifactState.COMPLETE:
        return [Reason(Holds.UNREAD, "it is still being compared with its hashes")]
    return []


def _best(newest_first: Sequence[Checkpoint], rule: CheckpointRule, values: Mapping[int, float]) -> frozenset[int]:
    """Return the keys of the checkpoints with the best finite values; of equal ones the newer."""
    if not rule.needs_values:
        return frozenset()
    known = [
        one.artifact_id
        for one in newest_first
        if may_count(one) and math.isfinite(values.get(one.artifact_id, math.nan))
    ]
    sign = 1 if rule.goal == MetricGoal.MINIMUM else -1
    return frozenset(sorted(known, key=lambda key: sign * values[key])[: rule.best])


def _by_value(
    one: Checkpoint, rule: CheckpointRule, best: Collection[int], values: Mapping[int, float]
) -> list[Reason]:
    """Return what a rule that looks at a metric keeps besides. Where nobody can tell the best, all stay."""
    if one.artifact_id in best:
        return [_best_reason(rule, values[one.artifact_id])]
    if not one.has_history:
        text = "the metric history of its run was removed, so that nobody can tell which are the best"
        return [Reason(Holds.UNKNOWN_BEST, text)]
    if not values:
        text = f"no checkpoint of its run has a value of {rule.metric}, so that nobody can tell which are the best"
        return [Reason(Holds.UNKNOWN_BEST, text)]
    return []


def _best_reason(rule: CheckpointRule, value: float) -> Reason:
    among = "it has the" if rule.best == 1 else f"it is among the {rule.best} of its run with the"
    return Reason(Holds.BEST, f"{among} best {rule.metric} ({value:.6g})")


def _why(one: Checkpoint, rule: CheckpointRule, reasons: Sequence[Reason], values: Mapping[int, float]) -> str:
    if reasons:
        return "; ".join(reason.text for reason in reasons)
    newest = "older than the newest" if rule.last == 1 else f"not among the {rule.last} newest"
    if one.state == ArtifactState.CORRUPT:
        return f"{newest} that are whole; it is damaged"
    if not rule.needs_values:
        return newest
    value = values.get(one.artifact_id)
    told = f"{rule.metric} {value:.6g}" if value is not None else f"no {rule.metric}"
    return f"{newest}, nor the best ({told})"
