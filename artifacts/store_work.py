"""Work on the stores that may take long, in threads of the scheduler: the loop that watches runs never waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections

from artifacts.storage import StoreUnavailable
from artifacts.verification import Verifier
from runs.scheduler.loop import CHORES_EVERY, do_chores
from runs.scheduler.sweeps import Sweep

logger = logging.getLogger(__name__)
VERIFYING_THREADS = 2  # so that a small checkpoint does not wait for a large one
IDLE_SECONDS = 0.5  # until it is looked again whether something is to be verified: runs that end wait for it
AGAIN_SECONDS = 10.0  # after an error


def start_store_work(
    stop: threading.Event, *, sweeps: Sequence[Callable[[], object]], chores: Sequence[Callable[[], object]]
) -> None:
    """Start the threads, which end with the process or soon after `stop`; every step may be repeated or broken off."""

    def do_all() -> bool:
        do_chores(chores)
        return False

    loops = [Loop([*sweeps, Sweep(do_all, every=CHORES_EVERY)])]
    if settings.S3_BUCKET is not None:
        verifier = Verifier()
        loops += [Loop([verifier]) for _ in range(VERIFYING_THREADS)]
    for number, loop in enumerate(loops):
        threading.Thread(target=loop.run, args=(stop,), name=f"stores-{number}", daemon=True).start()


class Loop:
    """Calls each step again and again; an error is logged, and the next try comes later."""

    def __init__(self, steps: Sequence[Callable[[], object]]) -> None:
        self._steps = steps

    def run(self, stop: threading.Event) -> None:
        """Go on until `stop` is set."""
        while not stop.is_set():
            stop.wait(self.once())

    def once(self) -> float:
        """Take every step; return how many seconds to wait before the next round."""
        try:
            more = [step() for step in self._steps]
        except StoreUnavailable as error:
            logger.warning("work on artifacts waits: %s", error)
            return AGAIN_SECONDS
        except DatabaseError as error:
            logger.warning("the database did not answer, trying again: %s", error)
            close_old_connections()
            return AGAIN_SECONDS
        except Exception:
            logger.exception("work on artifacts failed, trying again")
            return AGAIN_SECONDS
        return 0.0 if any(more) else IDLE_SECONDS
