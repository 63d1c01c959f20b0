"""Pages of one run: who may see it, and what several of them show."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.urls import reverse

from projects.models import Role
from runs.log_rows import build_rows
from runs.models import Attempt, Run
from runs.querysets import RunQuerySet
from runs.receipts import cancel_receipt
from runs.telemetry.log_blocks import LogLine
from runs.telemetry.log_pages import follow
from trainhub.api.views import check_role, find
from trainhub.pages import PageView

TAIL_LINES = 50
NEWEST_ARTIFACTS = 20


class RunScopedView(PageView):
    """A page of one run; `needs` is the role for it."""

    needs = Role.VIEWER

    def runs(self) -> RunQuerySet:
        """Return the runs that the person may see, with what the page shows of one and their role (`viewer_role`)."""
        return Run.objects.visible_to(self.request.user).with_page_details(self.request.user)

    @cached_property
    def run(self) -> Run:
        """The run of the path. 404 for strangers, 403 when the role is too low."""
        run = find(self.runs(), "run", uid=self.kwargs["run_id"])
        check_role(self._role_in(run), self.needs)
        return run

    def _role_in(self, run: Run) -> Role | None:
        """Return the person's role, which came with the run."""
        if self.request.user.is_staff:
            return Role.ADMIN
        return Role(run.viewer_role) if run.viewer_role else None

    @cached_property
    def newest_attempt(self) -> Attempt | None:
        """The attempt with the greatest number."""
        return max(self.run.attempts.all(), key=lambda attempt: attempt.number, default=None)

    @cached_property
    def tail(self) -> list[LogLine]:
        """The last lines of the log."""
        return follow(run_id=self.run.pk, after=max(0, self.run.log_lines - TAIL_LINES), limit=TAIL_LINES)

    @cached_property
    def receipt(self) -> dict[str, Any] | None:
        """What a cancel did; None for a run that nobody cancelled."""
        return cancel_receipt(self.run)

    def back(self) -> str:
        """Return the path of the run's page."""
        return reverse("run", args=[self.run.uid])

    def role_context(self) -> dict[str, bool]:
        """Return what the person may do."""
        role = self._role_in(self.run)
        return {
            "can_edit": role is not None and role.includes(Role.EDITOR),
            "can_manage": role is not None and role.includes(Role.ADMIN),
        }

    def tail_context(self) -> dict[str, Any]:
        """Return the last lines of the log."""
        lines = self.tail
        return {"run": self.run, "lines": lines, "rows": build_rows(lines), "total": self.run.log_lines}

    def artifacts_context(self) -> dict[str, Any]:
        """Return the newest artifacts."""
        newest = self.run.artifacts.whole().with_tags().order_by("-created_at", "-id")
        return {
            "run": self.run,
            "artifacts": newest[:NEWEST_ARTIFACTS],
            "artifact_count": self.run.artifact_count,
            **self.role_context(),
        }
