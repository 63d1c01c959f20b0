"""The page of a project: goal, defaults, how its runs stand, what was released, who belongs to it."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.http import HttpRequest, HttpResponse

from projects.views import ProjectScopedView
from runs.columns import BASIC_COLUMNS
from runs.lifecycle import Status
from runs.ordering import NEWEST_FIRST
from runs.table import RunTable, read_table

NEWEST_RUNS = 8  # a link leads to the rest
NEWEST_RELEASES = 3
COLUMNS = tuple(BASIC_COLUMNS[key] for key in ("status", "progress", "loss", "duration", "created"))


class ProjectDetailView(ProjectScopedView):
    """One project at a glance."""

    template_name = "projects/project_detail.html"

    def get(self, request: HttpRequest, project_id: str) -> HttpResponse:  # noqa: ARG002
        """Show the project with its newest runs and released checkpoints."""
        counts = self.project.count_runs_by_status()
        return self.page(
            **self.project_context(),
            statuses=[(status, counts[status]) for status in Status.values if status in counts],
            run_total=sum(counts.values()),
            table=self.newest_runs(),
            releases=self.newest_releases(),
            members=self.project.memberships.select_related("user").order_by("user__username"),
            version_count=self.project.history.count(),
            hide_project=True,
        )

    def newest_runs(self) -> RunTable:
        """Return the table of the newest runs, in columns that fit beside the project's goal."""
        newest = self.project.runs.not_deleted().not_archived().values_list("pk", flat=True)[:NEWEST_RUNS]
        return read_table(list(newest), COLUMNS, NEWEST_FIRST)

    def newest_releases(self) -> list[dict[str, Any]]:
        """Return the checkpoints that were tagged release last. By relations alone: artifacts are behind runs."""
        tagged = self.project.runs.not_deleted().filter(artifacts__tags__value="release")
        found = tagged.order_by("-artifacts__tags__applied_at", "-artifacts__tags__id").values(
            "name",
            "uid",
            artifact_name=F("artifacts__name"),
            artifact_uid=F("artifacts__uid"),
            notes=F("artifacts__tags__notes"),
            applied_at=F("artifacts__tags__applied_at"),
        )
        return [dict(one) for one in found[:NEWEST_RELEASES]]
