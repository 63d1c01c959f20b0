"""What is done to the runs that a person selected in a table."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from projects.models import Project
from runs.bulk import CANCEL, BulkAction, Outcome, act_on_each, role_in
from runs.models import Run
from trainhub.errors import InvalidInput
from trainhub.pages import PageView, is_path_here

MAX_SELECTED = 100  # runs of one action; their ids must fit into an address, which has at most 4,094 characters
MAX_BACK = 600  # characters of the path to lead back to, for the same reason; of a longer one the query is left away
TOLD_AT_MOST = 5  # refusals that are told one by one


def path_back(request: HttpRequest, usual: str) -> str:
    """Return the path of this hub that the page was asked from (`back` in the form), else the usual one."""
    back = (request.POST or request.GET).get("back", "")
    return back if len(back) <= MAX_BACK and is_path_here(request, back) else usual


class SelectionView(PageView):
    """Does one thing to the selected runs: GET asks, POST acts on each by itself."""

    template_name = "runs/selection.html"
    action: BulkAction = CANCEL  # the URL's pattern says which

    def get(self, request: HttpRequest) -> HttpResponse:
        """Say what will happen to each run."""
        runs, missing = self.selected(request.GET.getlist("run"))
        if not runs:
            messages.error(request, "No run is selected. Tick some in the table first.")
            return redirect(self.back())
        roles = Project.objects.roles_of(request.user)
        prospects = [self.action.prospect(run, role_in(roles, run)) for run in runs]
        prospects.sort(key=lambda one: not one.is_possible)
        return self.page(
            action=self.action,
            prospects=prospects,
            possible=[one.run for one in prospects if one.is_possible],
            missing=missing,
            back=self.back(),
        )

    def post(self, request: HttpRequest) -> HttpResponse:
        """Act, and say how many of each."""
        runs, missing = self.selected(request.POST.getlist("run"))
        roles = Project.objects.roles_of(request.user)
        self.tell(act_on_each(action=self.action, runs=runs, roles=roles, by=request.user), missing)
        return redirect(self.back())

    def selected(self, uids: list[str]) -> tuple[list[Run], int]:
        """Return those of the runs that the person may see, newest first, and how many there are not."""
        wanted = {uid for uid in uids if "\0" not in uid}
        if len(wanted) > MAX_SELECTED:
            raise InvalidInput({"run": [f"At most {MAX_SELECTED} runs are taken at once; select fewer."]})
        rows = Run.objects.visible_to(self.request.user).filter(uid__in=wanted).select_related("project")
        runs = list(rows)
        return runs, len(wanted) - len(runs)

    def back(self) -> str:
        """Return the path of the table that the runs were selected in."""
        return path_back(self.request, reverse("runs"))

    def tell(self, outcome: Outcome, missing: int) -> None:
        """Leave messages on what was done and what was not."""
        for done, count in outcome.done.items():
            messages.success(self.request, f"{_runs(count)} {done}.")
        for run, why in outcome.refused[:TOLD_AT_MOST]:
            messages.error(self.request, f"{run.name}: {why}")
        left = len(outcome.refused) - TOLD_AT_MOST
        if left > 0:
            messages.error(self.request, f"{_runs(left)} refused as well.")
        if missing or not (outcome.done or outcome.refused):
            messages.error(self.request, f"{_runs(missing)} not found." if missing else "No run was selected.")


def _runs(count: Any) -> str:
    return "1 run was" if count == 1 else f"{count} runs were"
