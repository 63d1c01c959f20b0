"""Rows that somebody else holds a lock on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError

from trainhub.database_errors import sqlstate_of

logger = logging.getLogger(__name__)
LOCK_NOT_AVAILABLE = "55P03"


@contextmanager
def unless_locked(what: str) -> Iterator[None]:
    """Leave for a later pass what somebody else holds a lock on: one run must not keep all others waiting."""
    try:
        yield
    except OperationalError as error:
        if sqlstate_of(error) != LOCK_NOT_AVAILABLE:
            raise
        logger.info("%s is locked, and left for a later pass", what)
