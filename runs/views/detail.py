"""The page of one run, its live parts and its timeline."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from runs.differences import describe_config, describe_logged, describe_settings, read_origins
from runs.event_sentences import SHOWN_KINDS, tell_all
from runs.models import Run
from runs.tracking.reading import Account, read_account
from runs.views.charts import ChartsMixin
from runs.views.live import RunLiveView
from runs.views.scoped import RunScopedView
from trainhub.api.paging import MAX_ID, whole_number
from trainhub.errors import InvalidInput
from trainhub.pages import paginate

NEWEST_EVENTS = 30  # on the run's page; a link leads to the rest
CHILDREN_SHOWN = 5
CONFIG_VIEWS = ("all", "differences")


class RunDetailView(ChartsMixin, RunLiveView):
    """One run."""

    template_name = "runs/run_detail.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Show status, metrics, configuration, artifacts, timeline and the end of the log."""
        produced = self.artifacts_context()
        account = read_account(self.run) if self.run.is_tracked else None
        return self.page(
            account=account,
            **{
                **self.status_context(),
                **self.charts_context(),
                **self.tail_context(),
                **produced,
                **self.actions_context(produced["artifacts"]),
                **self.config_context(account),
                **self.timeline_context(),
            },
        )

    def config_context(self, account: Account | None) -> dict[str, Any]:
        """Return what the run was given, with what its defaults and its parent have otherwise, and what was logged."""
        origins = read_origins(self.run)
        groups = describe_config(self.run, origins) if self.run.is_managed else []
        if account is not None and account.parameters:
            groups.append(describe_logged(self.run, account.parameters))
        return {
            "config": groups,
            "config_view": one_of(self.request, "config", CONFIG_VIEWS),
            "differing": sum(group.differing for group in groups),
            "parameter_count": sum(len(group.entries) for group in groups),
            "settings": describe_settings(self.run, origins.parent) if self.run.is_managed else [],
            "parent": origins.parent,
            "children": self.children() if self.run.is_resumed else [],
        }

    def children(self) -> list[Run]:
        """Return runs, some at most, that go on from a checkpoint of this one."""
        rows = Run.objects.not_deleted().filter(resumed_from__run=self.run).order_by("-id")
        return list(rows.only("uid", "name", "status")[:CHILDREN_SHOWN])

    def timeline_context(self) -> dict[str, Any]:
        """Return the newest entries of the timeline."""
        events = list(self.run.events.select_related("attempt").order_by("-id")[: NEWEST_EVENTS + 1])
        return {"told": tell_all(events[:NEWEST_EVENTS]), "has_more_events": len(events) > NEWEST_EVENTS}


def one_of(request: HttpRequest, name: str, choices: tuple[str, ...]) -> str:
    """Return the choice that the query string makes, the first without one. Raises: InvalidInput."""
    wanted = request.GET.get(name, choices[0])
    if wanted not in choices:
        raise InvalidInput({name: [f"Must be one of {', '.join(choices)}."]})
    return wanted


class RunStatusView(RunLiveView):
    """The live part of a run's page, for polls."""

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Answer with the fragment, and with what changed after the event `seen`."""
        return self.fresh_parts(after=whole_number(request.GET, "seen", default=0, low=0, high=MAX_ID))


class RunArtifactsView(RunScopedView):
    """The newest artifacts, for polls."""

    template_name = "runs/_run_artifacts.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Answer with the fragment."""
        return self.page(**self.artifacts_context())


class RunTimelineView(RunScopedView):
    """Everything that happened to a run, newest first."""

    template_name = "runs/run_timeline.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Show a page of the timeline."""
        shown = one_of(request, "show", ("all", *SHOWN_KINDS))
        rows = self.run.events.select_related("attempt").order_by("-id")
        if shown in SHOWN_KINDS:
            rows = rows.filter(kind__in=SHOWN_KINDS[shown])
        events, paging = paginate(rows, request.GET)
        return self.page(run=self.run, told=tell_all(events), paging=paging, shown=shown)
