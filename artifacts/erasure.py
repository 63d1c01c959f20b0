"""Erasing deleted runs: their artifacts with the files, and then everything else of them, in bounded steps."""

from __future__ import annotations

import logging
import time
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from artifacts.models import Artifact
from artifacts.storage import StoreUnavailable, store_of
from runs.deletion import erase_rows_step, runs_to_erase
from runs.models import Attempt, Run
from runs.scheduler.sweeps import SLICE_SECONDS

logger = logging.getLogger(__name__)
ERASED_AT_ONCE = 20  # runs found with one query


class ErasureSweep:
    """Goes through the runs that were deleted a while ago and erases them, for about `seconds` with every call.

    Safe to repeat, and to do in two schedulers at once. A run whose files cannot be removed is logged, passed over, and
    tried again in the next round.
    """

    def __init__(self, *, seconds: float = SLICE_SECONDS) -> None:
        self._seconds = seconds
        self._after: tuple[datetime, int] | None = None  # the last one that was passed over

    def __call__(self, *, now: datetime | None = None) -> bool:
        """Erase for a moment; tell whether the round goes on."""
        deadline = time.monotonic() + self._seconds
        while runs := runs_to_erase(now=now or timezone.now(), after=self._after, limit=ERASED_AT_ONCE):
            for run in runs:
                self._erase(run, deadline)
                if time.monotonic() >= deadline:
                    return True
        self._after = None
        return False

    def _erase(self, run: Run, deadline: float) -> None:
        """Erase a run step by step until it is gone or the time is over."""
        try:
            while erase_step(run) and time.monotonic() < deadline:
                pass
        except (OSError, StoreUnavailable) as error:
            logger.warning("the run %s, which was deleted, cannot be erased yet: %s", run.uid, error)
            if run.deleted_at is not None:
                self._after = run.deleted_at, run.pk


def erase_step(run: Run) -> bool:
    """Erase one artifact of a deleted run, or some of its other rows; False when the run is gone.

    Raises: OSError or StoreUnavailable when files cannot be removed; their row stays then.
    """
    artifact = Artifact.objects.filter(run=run).order_by("id").first()
    if artifact is None:
        return erase_rows_step(run)
    files = store_of(artifact)
    files.delete(artifact.uid)
    if files.holds(artifact.uid):
        raise OSError(f"files of the artifact {artifact.uid} are still there")
    with transaction.atomic():
        # What still names it are attempts of this run, and runs that were deleted as well.
        Attempt.objects.filter(resume_from=artifact).update(resume_from=None)
        Run.objects.filter(resumed_from=artifact, deleted_at__isnull=False).update(resumed_from=None)
        Artifact.objects.filter(pk=artifact.pk).delete()
    return True
