"""Work that is done in slices between the passes, so that a lot of it holds up nothing: removing and erasing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from django.db import Error as DatabaseError

from runs import retention
from runs.telemetry.removal import remove_leftovers

logger = logging.getLogger(__name__)
SLICE_SECONDS = 0.1  # of one sweep between two passes; a step that has begun comes to its end
MARKED_AT_ONCE = 20  # logs and histories taken out of sight in a slice; about 3 ms each
RULES_EVERY = timedelta(minutes=1)  # whether something has become too old
LEFTOVERS_EVERY = timedelta(seconds=5)  # whether something waits to be deleted: one look into a small index


class Sweep:
    """Calls `work` slice after slice while it says that there is more, else again after `every`.

    An error is logged and ends the slice; the next one comes after `every`, so that the log is not flooded.
    """

    def __init__(self, work: Callable[[], bool], *, every: timedelta) -> None:
        self._work, self._every = work, every.total_seconds()
        self._at = time.monotonic()

    def __call__(self) -> None:
        """Do a slice if it is time for one. Raises: DatabaseError, which is the loop's affair."""
        if time.monotonic() < self._at:
            return
        self._at = time.monotonic() + self._every
        try:
            has_more = self._work()
        except DatabaseError:
            raise
        except Exception:
            logger.exception("a sweep failed, trying again in %s s", self._every)
        else:
            if has_more:
                self._at = time.monotonic()


def carry_out_retention() -> bool:
    """Take some of what is too old out of sight; tell whether there may be more."""
    return retention.carry_out(limit=MARKED_AT_ONCE) > 0


def remove_some_leftovers() -> bool:
    """Delete rows of removed logs and histories for a moment; tell whether some are left."""
    return remove_leftovers(seconds=SLICE_SECONDS)


def telemetry_sweeps() -> list[Sweep]:
    """Return the sweeps that keep retention and remove telemetry, to be called between passes."""
    return [
        Sweep(carry_out_retention, every=RULES_EVERY),
        Sweep(remove_some_leftovers, every=LEFTOVERS_EVERY),
    ]
