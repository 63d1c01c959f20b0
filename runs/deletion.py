"""Deleting a run: gone for everybody at once, erased afterwards step by step.

`delete_run` sets `Run.deleted_at`, which hides the run and all that belongs to it, and writes the register
(`RunDeletion`). The scheduler then removes the telemetry (`runs.telemetry.removal`), the files and rows of artifacts
(`artifacts.erasure`) and the other rows (`erase_rows_step`), the run itself last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, Sum
from django.utils import timezone

from projects.models import Project, ProjectStatus
from runs.lifecycle import allowed_next
from runs.models import (
    Attempt,
    Run,
    RunDataset,
    RunDeletion,
    RunEvent,
    RunParameter,
    RunTag,
    RunTracking,
    TelemetryCounter,
)
from runs.telemetry.removal import Amount, amount_of, mark_removed, remove_newest_step
from trainhub.errors import Conflict, IllegalTransition, NotFound

KEEPING_TAGS = ("release", "candidate")
NAMED_AT_MOST = 20  # runs or checkpoints in a refusal
ERASED_AFTER = timedelta(minutes=1)  # requests that were looking at the run come to their end first
STEP_ROWS = 500  # small rows, deleted in one transaction
STEP_DATASETS = 20  # of up to 16 MiB


@dataclass(frozen=True, slots=True)
class Content:
    """What goes with a run."""

    telemetry: Amount
    artifact_count: int
    artifact_bytes: int


def content_of(run: Run) -> Content:
    """Return what goes when `run` is deleted. Two queries."""
    sums = run.artifacts.aggregate(count=Count("pk"), size=Sum("size_bytes", filter=~Q(state="removed"), default=0))
    return Content(amount_of(run.pk), sums["count"], sums["size"])


def find_obstacle(run: Run) -> Conflict | None:
    """Return why `run` cannot be deleted now, None when it can.

    Its project is archived, it has not ended, or something is built on it.
    """
    if run.project.status == ProjectStatus.ARCHIVED:
        return Conflict("The project is archived; restore it before deleting runs.", status=run.project.status)
    if not run.is_terminal:
        return IllegalTransition(
            f"The run is {run.status}; only a run that has ended can be deleted.",
            status=run.status,
            allowed=allowed_next(run.status, is_managed=run.is_managed),
        )
    tagged = run.artifacts.filter(tags__value__in=KEEPING_TAGS).order_by("id").distinct()
    kept = [(artifact.name, artifact.uid) for artifact in tagged[:NAMED_AT_MOST]]
    if kept:
        return Conflict(
            f"Checkpoints are tagged release or candidate; take the tags off first: {_names(kept)}.",
            reason="tagged",
            artifacts=[uid for _, uid in kept],
        )
    registered = run.artifacts.filter(model_versions__isnull=False, model_versions__deleted_at=None)
    kept = [(artifact.name, artifact.uid) for artifact in registered.order_by("id").distinct()[:NAMED_AT_MOST]]
    if kept:
        return Conflict(
            f"Checkpoints are versions of registered models; delete those first: {_names(kept)}.",
            reason="registered",
            artifacts=[uid for _, uid in kept],
        )
    built = [(other.name, other.uid) for other in _built_on(run)]
    if built:
        return Conflict(
            f"Other runs continue from its checkpoints; delete them first: {_names(built)}.",
            reason="resumed",
            runs=[uid for _, uid in built],
        )
    return None


def _built_on(run: Run) -> list[Run]:
    """Return runs, some at most, that were resumed from a checkpoint of `run` or restored one in an attempt."""
    others = Run.objects.not_deleted().exclude(pk=run.pk).order_by("id")
    resumed = others.filter(resumed_from__run=run)[:NAMED_AT_MOST]
    restored = others.filter(pk__in=Attempt.objects.filter(resume_from__run=run).values("run"))[:NAMED_AT_MOST]
    return sorted({*resumed, *restored}, key=lambda other: other.pk)[:NAMED_AT_MOST]


def _names(things: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({uid})" for name, uid in things)


def delete_run(*, run: Run, by: Any) -> RunDeletion:
    """Take a run out of sight for good, and leave its rows and files to the scheduler. Returns the register's entry.

    Raises: NotFound when it was deleted meanwhile; Conflict in an archived project, for a run that has not ended
    (with `status` and `allowed`), and when something is built on it (with `reason` and the ids). Nothing changes then.
    """
    now = timezone.now()
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=run.project_id)
        locked = lock_kept(run.pk)
        locked.project = project
        obstacle = find_obstacle(locked)
        if obstacle is not None:
            raise obstacle
        content = content_of(locked)
        Run.objects.filter(pk=locked.pk).update(deleted_at=now, updated_at=now)
        mark_removed(run_id=locked.pk, at=now, log=True, metrics=True)
        return RunDeletion.objects.create(
            project=project,
            run_uid=locked.uid,
            name=locked.name,
            ended_as=locked.status,
            created_at=locked.created_at,
            deleted_at=now,
            actor=by.get_username(),
            user=by,
            log_lines=content.telemetry.log_lines,
            metric_points=content.telemetry.metric_points,
            artifact_count=content.artifact_count,
            artifact_bytes=content.artifact_bytes,
        )


def lock_kept(run_id: int) -> Run:
    """Lock and return a run, so that it is not deleted before the end of the transaction.

    Raises: NotFound when it was deleted already.
    """
    run = Run.objects.not_deleted().select_for_update(no_key=True).filter(pk=run_id).first()
    if run is None:
        raise NotFound("There is no such run.")
    return run


def runs_to_erase(*, now: datetime, limit: int, after: tuple[datetime, int] | None = None) -> list[Run]:
    """Return deleted runs whose telemetry is gone, those deleted first; `after` this moment and key of a run."""
    waiting = Run.objects.filter(deleted_at__lte=now - ERASED_AFTER)
    if after is not None:
        waiting = waiting.filter(Q(deleted_at__gt=after[0]) | Q(deleted_at=after[0], pk__gt=after[1]))
    without = waiting.exclude(telemetry__leftovers_since__isnull=False)
    return list(without.order_by("deleted_at", "id")[:limit])


def erase_rows_step(run: Run) -> bool:
    """Delete some rows of a deleted run that has no artifacts any more, the run at last; False when it is gone.

    One transaction of at most a few hundred rows; safe to repeat.
    """
    if (
        remove_newest_step(run.pk)
        or _erase_some(RunParameter, run)
        or _erase_some(RunTag, run)
        or _erase_some(RunDataset, run, STEP_DATASETS)
        or _release_some("parent", run)
        or _release_some("job", run)
        or _erase_some(RunEvent, run)
        or _erase_some(Attempt, run)
    ):
        return True
    with transaction.atomic():
        TelemetryCounter.objects.filter(run=run).delete()
        Run.objects.filter(pk=run.pk).delete()
        RunDeletion.objects.filter(run_uid=run.uid, erased_at=None).update(erased_at=timezone.now())
    return False


def _release_some(relation: str, run: Run) -> int:
    """Let some runs forget `run`, below which they are nested or whose token made them."""
    ids = list(RunTracking.objects.filter(**{relation: run}).order_by("pk").values_list("pk", flat=True)[:STEP_ROWS])
    return RunTracking.objects.filter(pk__in=ids).update(**{relation: None}) if ids else 0


def _erase_some(
    model: type[RunParameter | RunTag | RunDataset | RunEvent | Attempt], run: Run, most: int | None = None
) -> int:
    ids = list(model.objects.filter(run=run).order_by("pk").values_list("pk", flat=True)[: most or STEP_ROWS])
    return model.objects.filter(pk__in=ids).delete()[0] if ids else 0
