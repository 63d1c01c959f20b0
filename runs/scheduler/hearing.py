"""Whether this hub can hear its runners: nobody is given up for a silence that is the hub's own."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings

from trainhub import reachability

logger = logging.getLogger(__name__)
# In this time whoever has something to say says it, once web and database are there: a runner that was sent away comes
# again within 30 s (`runner.client.MAX_RETRY_AFTER_SECONDS`), one that hung in a request 10 s later.
HEARD = timedelta(seconds=45)
ASK_AGAIN = timedelta(seconds=3)
FORGOTTEN_AFTER = timedelta(seconds=10)  # an older answer says nothing of now
TIMEOUT_SECONDS = 2.0


class Hearing:
    """Asks the web server, while somebody's time is about to be over, whether it can take what he has to say.

    It goes by questions of this process alone: a scheduler that has just started, or could not reach its database, does
    not know yet who could have spoken meanwhile.
    """

    def __init__(self) -> None:
        self._asked_at: datetime | None = None
        self._up_since: datetime | None = None
        self._away_at: datetime | None = None

    def is_over(self, now: datetime, deadline: datetime, *, longest: timedelta) -> bool:
        """Tell whether the time of a silent runner is over: past its deadline, and it could have spoken for a while.

        `longest` after the deadline it is over in any case, as nobody tries for longer.
        """
        if now <= deadline - HEARD:
            return False
        self._ask(now)
        could_speak = self._up_since is not None and now >= self._up_since + HEARD
        return now > deadline and (could_speak or now > deadline + longest)

    def was_away(self, now: datetime) -> bool:
        """Tell whether the web server is away, or was so recently that a runner may not have noticed its return."""
        self._ask(now)
        return self._up_since is None or (self._away_at is not None and now < self._away_at + HEARD)

    def _ask(self, now: datetime) -> None:
        if self._asked_at is not None and self._asked_at <= now < self._asked_at + ASK_AGAIN:
            return
        is_known = self._asked_at is not None and self._asked_at <= now < self._asked_at + FORGOTTEN_AFTER
        self._asked_at = now
        if reachability.is_ready(settings.NODE_URL, timeout=TIMEOUT_SECONDS):
            self._up_since = self._up_since if self._up_since and is_known else now
            return
        if self._up_since or not is_known:
            logger.warning("%s is not ready: silent runners are given more time", settings.NODE_URL)
        self._up_since, self._away_at = None, now
