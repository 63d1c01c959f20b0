"""The scheduler's own sign of life, in the database, where every other process of the hub can see it."""

from __future__ import annotations

import os
import socket
import time
from datetime import datetime, timedelta

from django.utils import timezone

from runs.models import SchedulerBeat
from trainhub import __version__

BEAT_SECONDS = 5.0  # between two writes: one small row, so that an idle hub hardly touches its disk
LATE_AFTER_SECONDS = 30.0  # without a beat: six were missed
FORGOTTEN_AFTER = timedelta(days=1)  # rows of processes that were killed


class Beat:
    """Called after each pass that went well; writes at most every BEAT_SECONDS."""

    def __init__(self) -> None:
        self._host, self._pid = socket.gethostname()[:255], os.getpid()
        self._started_at = timezone.now()
        self._next_at = 0.0
        self._longest = 0.0

    def __call__(self, pass_seconds: float) -> None:
        """Note a pass of so many seconds. Raises: DatabaseError, which is the loop's affair."""
        self._longest = max(self._longest, pass_seconds)
        if time.monotonic() < self._next_at:
            return
        now = timezone.now()
        SchedulerBeat.objects.update_or_create(
            host=self._host,
            pid=self._pid,
            defaults={
                "version": __version__,
                "started_at": self._started_at,
                "seen_at": now,
                "pass_seconds": self._longest,
            },
        )
        SchedulerBeat.objects.filter(seen_at__lt=now - FORGOTTEN_AFTER).delete()
        self._next_at, self._longest = time.monotonic() + BEAT_SECONDS, 0.0

    def end(self) -> None:
        """Take the row away: the process ends because it was told to."""
        SchedulerBeat.objects.filter(host=self._host, pid=self._pid).delete()


def last_beat() -> SchedulerBeat | None:
    """Return the newest sign of life of any scheduler, None when there is none."""
    return SchedulerBeat.objects.order_by("-seen_at").first()


def beating(now: datetime | None = None) -> list[SchedulerBeat]:
    """Return the schedulers that are at work."""
    since = (now or timezone.now()) - timedelta(seconds=LATE_AFTER_SECONDS)
    return list(SchedulerBeat.objects.filter(seen_at__gte=since))
