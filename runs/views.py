"""Pages of runs: list, launch, one run with its live parts, log, timeline, cancel."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from projects.models import Project, Role
from projects.views import ProjectScopedView
from runs import services
from runs.api.serializers import describe_evidence
from runs.chart import read_chart
from runs.deletion import content_of, delete_run, find_obstacle
from runs.filters import RunFilter
from runs.forms import LaunchForm, LogFilterForm, launch_values
from runs.listing import RunList
from runs.models import Run
from runs.ordering import COLUMNS
from runs.receipts import cancel_receipt
from runs.recipes import with_defaults
from runs.registry import recipes
from runs.telemetry.log_pages import TooManyLinesError, follow, read_page
from runs.telemetry.log_ranges import count_lines
from runs.telemetry.log_search import search_lines
from trainhub.api.paging import read_page_request, whole_number
from trainhub.api.views import find, require_role
from trainhub.pages import ButtonView, FormPage, PageView, Paging, paginate

TAIL_LINES = 50
LOG_PAGE_LINES = 200  # where the query string does not say
NEWEST_EVENTS = 50  # on the run's page; a link leads to the rest
NEWEST_ARTIFACTS = 20
SEARCH_SECONDS = 1.0  # of looking for words in a very long log before the page shows what was found


class RunListView(PageView):
    """The runs of all projects that the person may see."""

    template_name = "runs/run_list.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of the list."""
        wanted = read_page_request(request.GET)
        found = RunFilter(request.GET, queryset=Run.objects.listed())
        if not found.is_valid():
            return self.page(status=400, filter=found.form, orders=COLUMNS, runs=[], paging=Paging(1, wanted.size, 0))
        values = found.form.cleaned_data
        listed = RunList(found.qs, Project.objects.keys_visible_to(request.user), values["where"], values["order"])
        keys = listed.page(start=wanted.start, size=wanted.size)
        runs = Run.objects.not_deleted().with_table_columns().in_bulk(keys)
        return self.page(
            filter=found.form,
            orders=COLUMNS,
            runs=[runs[key] for key in keys if key in runs],
            paging=Paging(wanted.number, wanted.size, listed.count()),
        )


class RunLaunchView(ProjectScopedView, FormPage):
    """Launch a run in a project; `?repeat=run_…` starts from the definition of another one."""

    template_name = "runs/run_launch.html"
    needs = Role.EDITOR

    def make_form(self, data: Any = None) -> LaunchForm:
        """Return the form, filled in with the project's defaults or the run to repeat."""
        wanted = self.request.GET.get("repeat")
        repeated = None
        if wanted is not None:
            rows = Run.objects.visible_to(self.request.user).filter(project=self.project)
            repeated = find(rows, "run", uid=wanted.replace("\0", ""))
        return LaunchForm(data, initial=launch_values(self.project, repeated))

    def context(self) -> dict[str, Any]:
        """List the recipes with their parameters."""
        return {"project": self.project, "recipes": [recipe for _, recipe in sorted(recipes().items())]}

    def done(self, form: LaunchForm) -> HttpResponse:
        """Queue the run."""
        run = services.create_run(project=self.project, by=self.request.user, values=form.values)
        messages.success(self.request, "The run is queued; it starts when there is room.")
        return redirect("run", run.uid)


class RunScopedView(PageView):
    """A page of one run; `needs` is the role for it."""

    needs = Role.VIEWER

    @cached_property
    def run(self) -> Run:
        """The run of the path. 404 for strangers, 403 when the role is too low."""
        rows = Run.objects.visible_to(self.request.user).with_details()
        run = find(rows, "run", uid=self.kwargs["run_id"])
        require_role(run.project, self.request.user, self.needs)
        return run

    def back(self) -> str:
        """Return the path of the run's page."""
        return reverse("run", args=[self.run.uid])

    def status_context(self) -> dict[str, Any]:
        """Return what the live part of the page shows."""
        newest = sorted(self.run.newest_metrics.all(), key=lambda metric: metric.key)
        losses = [metric.key for metric in newest if "loss" in metric.key and not metric.key.startswith("system/")]
        return {
            "run": self.run,
            "evidence": describe_evidence(self.run),
            "metrics": [metric for metric in newest if not metric.key.startswith("system/")],
            "system_metrics": [metric for metric in newest if metric.key.startswith("system/")],
            "chart": read_chart(self.run, losses, ancestors=Run.objects.visible_to(self.request.user))
            if losses
            else None,
            "receipt": cancel_receipt(self.run),
            "artifact_count": self.run.artifacts.whole().count(),
        }

    def tail_context(self) -> dict[str, Any]:
        """Return the last lines of the log."""
        total = count_lines(self.run.pk)
        lines = follow(run_id=self.run.pk, after=max(0, total - TAIL_LINES), limit=TAIL_LINES)
        return {"run": self.run, "lines": lines, "total": total}

    def artifacts_context(self) -> dict[str, Any]:
        """Return the newest artifacts."""
        role = self.run.project.role_of(self.request.user)
        newest = self.run.artifacts.whole().with_tags().order_by("-created_at", "-id")
        return {
            "run": self.run,
            "artifacts": newest[:NEWEST_ARTIFACTS],
            "artifact_count": newest.count(),
            "can_edit": role is not None and role.includes(Role.EDITOR),
            "can_manage": role is not None and role.includes(Role.ADMIN),
        }


class RunDetailView(RunScopedView):
    """One run."""

    template_name = "runs/run_detail.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Show status, metrics, configuration, artifacts, timeline and the end of the log."""
        events = self.run.events.select_related("attempt").order_by("-id")
        return self.page(
            config=describe_config(self.run),
            events=events[:NEWEST_EVENTS],
            event_count=events.count(),
            **{**self.status_context(), **self.tail_context(), **self.artifacts_context()},
        )


def describe_config(run: Run) -> list[dict[str, Any]]:
    """Return both groups of parameters with the recipe's defaults, each entry marked as given or default."""
    groups = {"Model parameters": "model_parameters", "Hyperparameters": "hyperparameters"}
    described = []
    for title, name in groups.items():
        given = getattr(run, name)
        values = with_defaults(run.recipe_snapshot.get(name, {}), given)
        described.append(
            {"title": title, "entries": [(key, value, key in given) for key, value in sorted(values.items())]}
        )
    return described


class RunStatusView(RunScopedView):
    """The live part of a run's page, for polls."""

    template_name = "runs/_run_status.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Answer with the fragment; at the end of the run the whole page is loaded anew."""
        response = self.page(**self.status_context())
        if self.run.is_terminal:
            response["HX-Refresh"] = "true"
        return response


class RunLogTailView(RunScopedView):
    """The end of the log, for polls."""

    template_name = "runs/_log_lines.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Answer with the fragment."""
        return self.page(is_tail=True, **self.tail_context())


class RunArtifactsView(RunScopedView):
    """The newest artifacts, for polls."""

    template_name = "runs/_run_artifacts.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Answer with the fragment."""
        return self.page(**self.artifacts_context())


class RunLogView(RunScopedView):
    """The log by pages, with filters; words in a very long log are looked for step by step."""

    template_name = "runs/run_log.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Show a page of the log."""
        wanted = read_page_request({"page_size": str(LOG_PAGE_LINES), **request.GET.dict()})
        form = LogFilterForm(request.GET)
        if not form.is_valid():
            return self.page(status=400, run=self.run, filter=form, lines=[], paging=Paging(1, wanted.size, 0))
        try:
            found = read_page(
                run_id=self.run.pk, page=wanted.number, page_size=wanted.size, wanted=form.wanted, matcher=form.words
            )
        except TooManyLinesError:
            return self.search(form, wanted.size)
        paging = Paging(wanted.number, wanted.size, found.total)
        return self.page(run=self.run, filter=form, lines=found.items, paging=paging)

    def search(self, form: LogFilterForm, limit: int) -> HttpResponse:
        """Show the matches of one step, how far it came, and the way on."""
        after = whole_number(self.request.GET, "after", default=0, low=0, high=2**53)
        found = search_lines(
            run_id=self.run.pk, wanted=form.wanted, matcher=form.words, after=after, limit=limit, seconds=SEARCH_SECONDS
        )
        way_on = self.request.GET.copy()
        way_on["after"] = str(found.next)
        return self.page(run=self.run, filter=form, lines=found.items, search=found, way_on=way_on.urlencode())


class RunTimelineView(RunScopedView):
    """Everything that happened to a run, newest first."""

    template_name = "runs/run_timeline.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Show a page of the timeline."""
        events, paging = paginate(self.run.events.select_related("attempt").order_by("-id"), request.GET)
        return self.page(run=self.run, events=events, paging=paging)


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


class RunCancelView(RunScopedView, ButtonView):
    """Ends a run, after asking."""

    template_name = "runs/run_cancel.html"
    needs = Role.EDITOR

    def context(self) -> dict[str, Any]:
        """Say what will be saved."""
        return {"run": self.run}

    def act(self) -> str:
        """Ask the run to end; its page shows the receipt."""
        run = services.cancel_run(run=self.run, by=self.request.user)
        return "The run was cancelled." if run.is_terminal else "The run was asked to stop; the receipt is below."
