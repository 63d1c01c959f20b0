"""Cancelling and deleting a run, after asking."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from projects.models import Role
from runs import services
from runs.deletion import content_of, delete_run, find_obstacle
from runs.models import Run
from runs.receipts import forecast_cancel
from runs.views.live import RunLiveView
from runs.views.scoped import RunScopedView
from runs.vitals import read_vitals
from trainhub.api.paging import MAX_ID, whole_number
from trainhub.pages import ButtonView


class RunCancelView(RunLiveView, ButtonView):
    """Ends a run, after asking: on a page of its own, or in a dialog on the run's page."""

    needs = Role.EDITOR

    @property
    def template_name(self) -> str:  # type: ignore[override]
        """The page, or for a dialog the question alone."""
        return "runs/_cancel_form.html" if self.is_dialog else "runs/run_cancel.html"

    @property
    def is_dialog(self) -> bool:
        """Whether the run's page asks, and stays where it is."""
        return bool(getattr(self.request, "htmx", None))

    def context(self) -> dict[str, Any]:
        """Say what will be saved, and what is lost when it is not."""
        vitals = read_vitals(self.run, self.run.newest_metrics.all(), self.newest_attempt)
        return {
            "run": self.run,
            "is_dialog": self.is_dialog,
            "attempt": self.newest_attempt,
            "vitals": vitals,
            "forecast": forecast_cancel(self.run, vitals.step),
        }

    def act(self) -> str:
        """Ask the run to end; its page shows the receipt."""
        run = services.cancel_run(run=self.run, by=self.request.user)
        if not run.is_managed:
            return "The run ended here. Nothing was stopped where it is executed."
        return "The run was cancelled." if run.is_terminal else "The run was asked to stop; the receipt is below."

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Act, and lead back; the run's page gets its live parts instead, and keeps the reader's place."""
        seen = whole_number(request.POST, "seen", default=0, low=0, high=MAX_ID)
        response = super().post(request, **kwargs)
        if not self.is_dialog:
            return response
        self.look_again()
        return self.fresh_parts(after=seen)


class RunDeleteView(RunScopedView, ButtonView):
    """Deletes a run, after asking."""

    template_name = "runs/run_delete.html"
    needs = Role.ADMIN

    def context(self) -> dict[str, Any]:
        """Say what would go, or why nothing can."""
        return {"run": self.run, "content": content_of(self.run), "obstacle": find_obstacle(self.run)}

    def act(self) -> str:
        """Delete it; it is gone at once."""
        delete_run(run=self.run, by=self.request.user)
        return f"The run {self.run.name} was deleted."

    def back(self) -> str:
        """Return the path of the project's page, or of the run's when it is still there."""
        is_there = Run.objects.not_deleted().filter(pk=self.run.pk).exists()
        return super().back() if is_there else reverse("project", args=[self.run.project.uid])
