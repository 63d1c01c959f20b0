"""Times as whole numbers since 1970 UTC, exact where a float of seconds is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    """Return a time in whole ms since 1970 UTC, rounded down."""
    return (moment - EPOCH) // timedelta(milliseconds=1)
