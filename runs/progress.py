"""How far a run is, and how long it will still take."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils import timezone

from runs.attempts import is_unreachable
from runs.lifecycle import Status
from runs.models import Attempt, Run, RunMetric

MIN_ELAPSED_SECONDS = 5.0  # of training; what a shorter time says of the pace is mostly the start


def remaining_seconds(
    run: Run,
    *,
    attempt: Attempt | None = None,
    metrics: Iterable[RunMetric] | None = None,
    now: datetime | None = None,
) -> float | None:
    """Return the seconds until the run is done at the pace of its newest attempt; None when nobody can tell.

    What an attempt took over from a checkpoint or from the attempt before it was not its work: the pace is that of the
    progress made since it began. Nothing is told of a run that does not train, whose node is silent, or that has
    trained too short.

    Args:
        run: uses the loaded attempts and newest metrics, the latter of a restarted or resumed run alone.
        attempt: the newest attempt, where the caller has it at hand.
        metrics: some of the newest metrics, where the caller has them at hand.
        now: aware; defaults to the present.
    """
    moment = now or timezone.now()
    if attempt is None:
        attempt = max(run.attempts.all(), key=lambda one: one.number, default=None)
    if run.status != Status.RUNNING or attempt is None or is_unreachable(attempt, moment):
        return None
    began, heard = attempt.started_at, attempt.heartbeat_at
    begun_with = _progress_at_start(run, attempt, metrics)
    if began is None or heard is None or begun_with is None:
        return None
    elapsed, gained = (heard - began).total_seconds(), run.progress - begun_with
    if elapsed < MIN_ELAPSED_SECONDS or gained <= 0:
        return None
    since = max(moment - heard, timedelta(0)).total_seconds()
    return max(0.0, (1 - run.progress) * elapsed / gained - since)


def _progress_at_start(run: Run, attempt: Attempt, metrics: Iterable[RunMetric] | None) -> float | None:
    """Return the progress (0 to 1) that an attempt began with; None while none of its own points is there to tell."""
    if attempt.number == 1 and attempt.resume_from_id is None:
        return 0.0
    steps = [
        metric.step
        for metric in (run.newest_metrics.all() if metrics is None else metrics)
        if metric.attempt_number == attempt.number and not metric.key.startswith("system/")
    ]
    if not steps or max(steps) <= 0:
        return None
    restored = attempt.resume_from.step if attempt.resume_from else 0
    # Progress is in step with the steps: of the checkpoint's step it was the same share.
    return None if restored is None else run.progress * min(restored / max(steps), 1.0)
