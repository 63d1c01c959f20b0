"""Erasing deleted runs: their artifacts with the files, and then everything else of them, in bounded steps."""

from __future__ import annotations

import logging
import time
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from artifacts.models import Artifact
from artifacts.storage import store
from runs.deletion import erase_rows_step, runs_to_erase
from runs.models import Attempt, Run
from runs.scheduler.sweeps import SLICE_SECONDS

logger = logging.getLogger(__name__)
ERASED_AT_ONCE = 20  # runs looked at in one go


def erase_some_runs() -> bool:
    """Go on erasing deleted runs for a moment, between two passes; tell whether there is more to do at once."""
    return erase_deleted_runs(seconds=SLICE_SECONDS)


def erase_deleted_runs(*, seconds: float, now: datetime | None = None) -> bool:
    """Go on erasing runs that were deleted a while ago, for about so long; tell whether there is more to do at once.

    Safe to repeat, and to do in two schedulers at once. A run whose files cannot be removed is logged and left for
    the next time.
    """
    deadline = time.monotonic() + seconds
    runs = runs_to_erase(now=now or timezone.now(), limit=ERASED_AT_ONCE)
    erased = 0
    for run in runs:
        try:
            while erase_step(run):
                if time.monotonic() >= deadline:
                    return True
            erased += 1
        except OSError as error:
            logger.warning("the run %s, which was deleted, cannot be erased yet: %s", run.uid, error)
    return erased == ERASED_AT_ONCE


def erase_step(run: Run) -> bool:
    """Erase one artifact of a deleted run, or some of its other rows; False when the run is gone.

    Raises: OSError when files cannot be removed; their row stays then.
    """
    artifact = Artifact.objects.filter(run=run).order_by("id").first()
    if artifact is None:
        return erase_rows_step(run)
    store().delete(artifact.uid)
    if store().holds(artifact.uid):
        raise OSError(f"files of the artifact {artifact.uid} are still there")
    with transaction.atomic():
        # What still names it are attempts of this run, and runs that were deleted as well.
        Attempt.objects.filter(resume_from=artifact).update(resume_from=None)
        Run.objects.filter(resumed_from=artifact, deleted_at__isnull=False).update(resumed_from=None)
        Artifact.objects.filter(pk=artifact.pk).delete()
    return True
