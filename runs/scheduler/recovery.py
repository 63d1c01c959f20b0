"""Delivering what a dead runner left behind in its attempt's folder."""

from __future__ import annotations

import logging

from runs.executors.base import Executor, ExecutorError
from runs.models import Attempt

logger = logging.getLogger(__name__)


def recover_attempt(executor: Executor, attempt: Attempt) -> None:
    """Start a recovery runner where the attempt's folder can be reached from here; asking again is harmless."""
    try:
        executor.recover(attempt.handle)
    except (ExecutorError, OSError) as error:
        logger.warning("attempt %s cannot be recovered: %s", attempt.uid, error)
