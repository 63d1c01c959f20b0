"""The live parts of a run's page: what a poll brings, and what an action brings with it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from runs.api.serializers import describe_evidence
from runs.event_sentences import Told, tell_all
from runs.failures import describe_failure
from runs.lifecycle import Status
from runs.progress import remaining_seconds
from runs.receipts import good_checkpoints
from runs.tracking.hearing import is_long_silent
from runs.views.scoped import RunScopedView
from runs.vitals import read_vitals
from runs.waiting import describe_wait

if TYPE_CHECKING:
    from artifacts.models import Artifact

RESUMABLE_SHOWN = 3  # in the menu; the list of artifacts has the others
NEWS_AT_MOST = 100  # entries of the timeline that one poll brings


class RunLiveView(RunScopedView):
    """A view that shows the live parts."""

    def status_context(self) -> dict[str, Any]:
        """Return what the live part of the page shows."""
        run = self.run
        vitals = read_vitals(run, run.newest_metrics.all(), self.newest_attempt)
        return {
            "run": run,
            "attempt": self.newest_attempt,
            "evidence": describe_evidence(run),
            "is_long_silent": is_long_silent(run, run.newest_at),
            "remaining": vitals.seconds_left or remaining_seconds(run, attempt=self.newest_attempt),
            "vitals": vitals,
            "wait": describe_wait(run),
            "failure": describe_failure(run, self.newest_attempt, self.tail) if run.status == Status.FAILED else None,
            "receipt": self.receipt,
            "grace_left": self._grace_left(),
            "lost_after": timedelta(seconds=settings.LOST_AFTER_SECONDS).total_seconds(),
            **(self.role_context() if self.receipt else {}),
        }

    def _grace_left(self) -> float | None:
        """Return how many seconds the trainer still has to save; None before it was told to stop, and after the end."""
        if self.run.status != Status.CANCELLING or self.receipt is None:
            return None
        told = parse_datetime(self.receipt["signalled_at"] or "")
        return self.run.grace_seconds - (timezone.now() - told).total_seconds() if told else None

    def actions_context(self, newest: Iterable[Artifact] = ()) -> dict[str, Any]:
        """Return what the buttons need: the person's role, and checkpoints to go on from.

        `newest` are the run's newest artifacts where they are loaded; they save a query.
        """
        good = [one for one in newest if (one.type, one.state) == ("checkpoint", "verified")]
        if not good and self.run.artifact_count:
            good = list(good_checkpoints(self.run).defer("manifest")[:RESUMABLE_SHOWN])
        return {"resumable": good[:RESUMABLE_SHOWN], **self.role_context()}

    def news_since(self, event: int) -> list[Told]:
        """Return the entries of the timeline after the one with this id, newest first."""
        if self.run.newest_event <= event:
            return []
        news = self.run.events.filter(pk__gt=event).select_related("attempt").order_by("-id")
        return tell_all(news[:NEWS_AT_MOST])

    def look_again(self) -> None:
        """Forget what was loaded, after a change."""
        for name in ("run", "newest_attempt", "tail", "receipt"):
            self.__dict__.pop(name, None)

    def fresh_parts(self, *, after: int) -> HttpResponse:
        """Answer with the live part; when something happened after the event `after`, with all that it changes."""
        context = {**self.status_context(), "news": self.news_since(after)}
        if context["news"]:
            context |= self.actions_context()
        return render(self.request, "runs/_run_poll.html", context)
