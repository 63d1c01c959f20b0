"""Doing again what PostgreSQL undid for no fault of the caller's: deadlocks and serialization failures."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection

from trainhub.database_errors import sqlstate_of

logger = logging.getLogger(__name__)
MAX_TIMES = 3  # each waits for the other's commit, so that more than once is rare
_UNDONE = {"40001", "40P01"}  # serialization_failure, deadlock_detected

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def retry_undone(work: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a function whose whole effect is one transaction do it again, at most twice, when the database undid it.

    Inside a transaction of the caller's it is done once: what was undone is more than this function's part. The
    function must look at rows anew each time, and not go by what an attempt that was undone left in its arguments.
    """

    @functools.wraps(work)
    def do(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        for _ in range(MAX_TIMES - 1):
            try:
                return work(*args, **kwargs)
            except OperationalError as error:
                if sqlstate_of(error) not in _UNDONE or connection.in_atomic_block:
                    raise
                logger.info("%s was undone by the database, doing it again", work.__name__)
        return work(*args, **kwargs)

    return do
