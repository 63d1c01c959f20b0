"""When people last looked: what came after it is news to them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from projects.models import Visit

VISIT_ENDS_AFTER = timedelta(minutes=30)  # without a look; reloading the page a few times does not eat the news
NOTED_EVERY = timedelta(minutes=1)  # of a visit that goes on: each time is a write


def note_look(*, user: Any, now: datetime | None = None) -> datetime | None:
    """Note that `user` looks at what is new; return when the visit before ended, None during the first one.

    One query, and one more when something is written. Looks that nobody takes, such as polls, are not to be noted.
    """
    moment = now or timezone.now()
    visit = Visit.objects.filter(user=user).first()
    if visit is None:
        Visit.objects.bulk_create([Visit(user=user, looked_at=moment)], ignore_conflicts=True)
        return None
    seen = visit.looked_at
    is_new = moment - seen > VISIT_ENDS_AFTER
    since = seen if is_new else visit.since
    if moment - seen > NOTED_EVERY:
        # Of two looks at once one begins the visit; the other must not take it for the end of the one before.
        Visit.objects.filter(user=user, looked_at=seen).update(looked_at=moment, since=since)
    return since


def last_visit(user: Any) -> datetime | None:
    """Return when the visit before this one ended, None during the first one; notes nothing."""
    return Visit.objects.filter(user=user).values_list("since", flat=True).first()
