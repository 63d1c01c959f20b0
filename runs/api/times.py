"""Times in the query string of telemetry requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC

from django.utils.dateparse import parse_datetime

from runs.epoch import EPOCH
from trainhub.errors import InvalidInput

_SPACE_FOR_PLUS = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)$")  # a + of a zone that was not percent-encoded


def read_time(query: Mapping[str, str], name: str) -> int | None:
    """Return a time of the query string as µs since 1970 UTC; without zone it is UTC. Raises: InvalidInput."""
    text = query.get(name)
    if text is None:
        return None
    try:
        moment = parse_datetime(_SPACE_FOR_PLUS.sub(r"\1+\2", text))
        if moment is None or not text.isprintable():  # Python's parser stops at a NUL
            raise ValueError(text)
        difference = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH
    except (ValueError, OverflowError):
        raise InvalidInput({name: ["Must be a time such as 2024-01-02T10:00:00Z."]}) from None
    return (difference.days * 86400 + difference.seconds) * 1_000_000 + difference.microseconds
