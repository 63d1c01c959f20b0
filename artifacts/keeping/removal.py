"""Removing the checkpoints that their projects keep no longer.

A checkpoint is marked first, in a transaction that looks at everything again, and from then on nobody reads it; its
bytes go after the commit. What a process leaves that is killed in between, the next sweep deletes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from artifacts.keeping.plan import judge, load_runs, read_values, runs_with_excess, verdicts_of
from artifacts.keeping.rule import CheckpointRule, Verdict
from artifacts.keeping.ties import read_ties
from artifacts.models import Artifact, ArtifactState
from artifacts.storage import StoreUnavailable, store_of
from projects.models import Project
from runs.models import Run
from runs.retention import ACTOR
from runs.scheduler.sweeps import SLICE_SECONDS
from runs.telemetry.fold import fold_run

logger = logging.getLogger(__name__)
EVERY = timedelta(minutes=10)  # a new round begins so long after the last; one look into small rows when all is done
RUNS_AT_ONCE = 10  # looked at with the same queries; some 10 ms each where a metric decides
REMOVED_AT_ONCE = 100  # checkpoints of one run, told by one entry of its timeline


class CheckpointSweep:
    """Goes through the runs that have more checkpoints than their rule keeps, some with every call.

    What waits to be deleted goes first, one checkpoint at a time, as that may take seconds.
    """

    def __init__(self) -> None:
        self._after = 0
        self._deleted: Place | None = None

    def __call__(self) -> bool:
        """Remove what is found for a moment; tell whether the round goes on."""
        deadline = time.monotonic() + SLICE_SECONDS
        while self._step():
            if time.monotonic() >= deadline:
                return True
        self._after, self._deleted = 0, None
        return False

    def _step(self) -> bool:
        """Delete the bytes of a checkpoint, else look at the next runs; False at the end of the round."""
        deleted = delete_next(after=self._deleted)
        if deleted is not None:
            self._deleted = deleted
            return True
        run_ids = list(runs_with_excess(_with_rule(), now=timezone.now()).filter(run_id__gt=self._after)[:RUNS_AT_ONCE])
        if not run_ids:
            return False
        self._after = run_ids[-1]
        remove_from(run_ids)
        return True


def _with_rule(project: Project | None = None) -> Any:
    rows = Project.objects.filter(keep_last_checkpoints__isnull=False).order_by()
    return rows if project is None else rows.filter(pk=project.pk)


def remove_all(*, project: Project | None = None, now: datetime | None = None) -> int:
    """Remove all that goes by the rule of one project, or of all, with the bytes; return how many checkpoints."""
    run_ids = list(runs_with_excess(_with_rule(project), now=now or timezone.now()))
    count = 0
    for start in range(0, len(run_ids), RUNS_AT_ONCE):
        while removed := remove_from(run_ids[start : start + RUNS_AT_ONCE], now=now):
            count += removed
    place: Place | None = None
    while (place := delete_next(after=place)) is not None:
        pass
    return count


def remove_from(run_ids: Sequence[int], *, now: datetime | None = None) -> int:
    """Remove the checkpoints of some runs that go by their rules; return how many. Their bytes wait to be deleted.

    Each run is a transaction of its own, safe to repeat and to do in two schedulers at once. One that fails is logged
    and left for the next time.
    """
    now = now or timezone.now()
    going = {verdict.checkpoint.run_id for verdict in verdicts_of(run_ids, now=now) if verdict.goes}
    count = 0
    for run_id in sorted(going):
        try:
            count += _remove_from_run(run_id, now)
        except DatabaseError:
            raise
        except Exception:
            logger.exception("checkpoints of the run %s that its project keeps no longer cannot be removed", run_id)
    return count


def _remove_from_run(run_id: int, now: datetime) -> int:
    """Look again, with all of its values folded and all of its rows locked, and mark what still goes."""
    runs = load_runs([run_id])
    if any(run.rule.needs_values for run in runs.values()):
        fold_run(run_id=run_id, everything=True)  # a value that is just being folded might not be seen
    values = read_values(runs.values())
    with transaction.atomic():
        run = _lock_ended(run_id)
        if run is None:
            return 0
        locked = load_runs([run_id])
        if not locked or locked != runs:
            return (
                0  # the rule or a checkpoint changed meanwhile, one was verified perhaps: the next round goes by that
            )
        verdicts = judge(locked, ties=read_ties([run_id]), values=values, now=now)
        going = [verdict for verdict in verdicts if verdict.goes][:REMOVED_AT_ONCE]
        if going:
            _mark(run, going, locked[run_id].rule, now)
        return len(going)


def _lock_ended(run_id: int) -> Run | None:
    """Lock the project, whose rule changes before this or after it, and the run, by which tags and resumed runs wait.

    None when the run was deleted or goes on again.
    """
    Project.objects.select_for_update(no_key=True, of=("self",)).filter(runs=run_id).first()
    locked = Run.objects.not_deleted().select_for_update(no_key=True).filter(pk=run_id).first()
    return locked if locked is not None and locked.is_terminal else None


def _mark(run: Run, going: Sequence[Verdict], rule: CheckpointRule, now: datetime) -> None:
    """Take checkpoints out of use, and note in the timeline which and why.

    They are no longer a client's: a file that one puts in the same place begins a new artifact.
    """
    keys = [verdict.checkpoint.artifact_id for verdict in going]
    Artifact.objects.filter(pk__in=keys).update(state=ArtifactState.REMOVED, removed_at=now, is_from_client=False)
    size = sum(verdict.checkpoint.size_bytes for verdict in going)
    what = "1 checkpoint was" if len(going) == 1 else f"{len(going)} checkpoints were"
    run.events.create(
        at=now,
        kind="checkpoints_removed",
        actor=ACTOR,
        message=f"{what} removed, {size:,} bytes: the project keeps {rule} of a run."[:1000],
        evidence={
            "size_bytes": size,
            "checkpoints": [
                {"artifact": verdict.checkpoint.uid, "name": verdict.checkpoint.name, "why": verdict.why}
                for verdict in going
            ],
        },
    )


Place = tuple[datetime, int]  # of a removed checkpoint in the order in which bytes are deleted


def delete_next(*, after: Place | None = None) -> Place | None:
    """Delete the bytes of the next removed checkpoint that has them; return its place, None when there is none.

    What cannot be deleted is logged, passed over, and found again from the beginning. Safe to repeat.
    """
    waiting = Artifact.objects.filter(state=ArtifactState.REMOVED, bytes_deleted_at=None, removed_at__isnull=False)
    if after is not None:
        waiting = waiting.filter(Q(removed_at__gt=after[0]) | Q(removed_at=after[0], pk__gt=after[1]))
    artifact = waiting.order_by("removed_at", "pk").only("uid", "store", "removed_at").first()
    if artifact is None or artifact.removed_at is None:
        return None
    try:
        files = store_of(artifact)
        files.delete(artifact.uid)
        if files.holds(artifact.uid):
            raise OSError("they are still there")
    except (OSError, StoreUnavailable) as error:
        logger.warning(
            "the bytes of the checkpoint %s, which was removed, cannot be deleted yet: %s", artifact.uid, error
        )
    else:
        Artifact.objects.filter(pk=artifact.pk).update(bytes_deleted_at=timezone.now())
    return artifact.removed_at, artifact.pk
