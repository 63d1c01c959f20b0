"""The page of a project's versions: all of them, and what differs between any two."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from projects.versions import compare, count_versions, read_version, read_versions
from projects.views import ProjectScopedView
from trainhub.api.paging import read_page_request, whole_number
from trainhub.pages import Paging


class VersionsView(ProjectScopedView):
    """The versions of a project's settings; `?from=3&to=7` compares two."""

    template_name = "projects/project_versions.html"

    def get(self, request: HttpRequest, project_id: str) -> HttpResponse:  # noqa: ARG002
        """Show what differs between two versions, the last two unless said, and a page of all."""
        total = count_versions(self.project)
        wanted = read_page_request(request.GET)
        return self.page(
            **self.project_context(),
            **self.comparison(total),
            versions=read_versions(self.project, total=total, start=wanted.start, size=wanted.size),
            paging=Paging(wanted.number, wanted.size, total),
        )

    def comparison(self, total: int) -> dict[str, Any]:
        """Return the two versions that the query string names, and what differs. Raises: InvalidInput."""
        query = self.request.GET
        to = whole_number(query, "to", default=total, low=1, high=total)
        since = whole_number(query, "from", default=max(1, to - 1), low=1, high=total)
        before, after = read_version(self.project, since), read_version(self.project, to)
        return {"before": before, "after": after, "changes": compare(before.record, after.record)}
