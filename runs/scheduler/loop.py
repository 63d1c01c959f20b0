"""One pass of the scheduler, and the loop around it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.utils import timezone

from runs.executors.folders import reap_children
from runs.scheduler.start import start_waiting_runs, submit_forgotten_attempts
from runs.scheduler.watch import watch_live_attempts
from runs.telemetry.fold import fold_fullest
from runs.telemetry.newest import refresh_newest, runs_to_refresh

logger = logging.getLogger(__name__)
REFRESHED_RUNS = 200  # runs whose newest values are brought up to date in one pass
REFRESHED_AT_ONCE = 25  # of them in one transaction, which holds up writers on SQLite for some 10 ms
FOLD_SECONDS = 0.4  # of folding in one pass; the rest waits for the next, as watching must not
CHORES_EVERY = timedelta(minutes=10)
CLOCK_JUMP_SECONDS = 60.0  # a larger step of the wall clock than of the monotonic one is a jump
WAIT_AFTER_ERROR_SECONDS = 2.0


def run_pass(now: datetime | None = None) -> None:
    """Start, watch, fold: once. Every step is safe to repeat and to run in two schedulers at a time."""
    now = now or timezone.now()
    reap_children()
    watch_live_attempts(now)
    submit_forgotten_attempts(now)
    start_waiting_runs(now)
    lagging = runs_to_refresh(limit=REFRESHED_RUNS, now=now)
    for start in range(0, len(lagging), REFRESHED_AT_ONCE):
        refresh_newest(run_ids=lagging[start : start + REFRESHED_AT_ONCE], now=now)
    fold_fullest(FOLD_SECONDS)


def run_forever(
    stop: threading.Event,
    chores: Sequence[Callable[[], object]] = (),
    sweeps: Sequence[Callable[[], object]] = (),
    beat: Callable[[float], object] = lambda _: None,
) -> None:
    """Pass after pass until `stop` is set; `sweeps` after each pass, which return quickly; `chores` now and then.

    `beat` is told how many seconds each pass took that went well.

    An error is logged and the loop goes on. After a jump of the clock, what goes by it waits for the next pass.
    """
    chores_at = timezone.now()
    clock = Clock()
    while not stop.is_set():
        pause = settings.SCHEDULER_INTERVAL_SECONDS
        try:
            if not clock.has_jumped():
                began = time.monotonic()
                run_pass()
                beat(time.monotonic() - began)
                for sweep in sweeps:
                    sweep()
            if timezone.now() >= chores_at:
                chores_at = timezone.now() + CHORES_EVERY
                do_chores(chores)
        except DatabaseError as error:
            logger.warning("the database did not answer, trying again: %s", error)
            pause = WAIT_AFTER_ERROR_SECONDS
            close_old_connections()
        except Exception:
            logger.exception("a scheduler pass failed, trying again")
            pause = WAIT_AFTER_ERROR_SECONDS
        stop.wait(pause)


def do_chores(chores: Sequence[Callable[[], object]]) -> None:
    """Do each once; one that fails is logged and tried again next time, and holds up nothing."""
    for chore in chores:
        try:
            chore()
        except Exception:
            logger.exception("a chore failed, trying again in %s", CHORES_EVERY)


class Clock:
    """Notices when the wall clock jumps. The pass after it is left out; later ones go by the new time."""

    def __init__(self) -> None:
        self._wall, self._monotonic = time.time(), time.monotonic()

    def has_jumped(self) -> bool:
        """Tell whether the clock jumped since the last call; the pass after a jump is left out once."""
        wall, monotonic = time.time(), time.monotonic()
        jump = (wall - self._wall) - (monotonic - self._monotonic)
        self._wall, self._monotonic = wall, monotonic
        if abs(jump) < CLOCK_JUMP_SECONDS:
            return False
        logger.warning("the clock jumped by %.0f s; this pass is left out", jump)
        return True
