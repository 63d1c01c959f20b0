"""What a run produced."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from artifacts.listing import Group, newest_by_type, page_of_type
from artifacts.models import ArtifactType
from artifacts.views.scoped import RunOfArtifactsView
from trainhub.api.paging import read_page_request
from trainhub.errors import InvalidInput
from trainhub.pages import Paging


class ArtifactListView(RunOfArtifactsView):
    """Everything that a run produced, by type, with the metrics at its checkpoints."""

    template_name = "artifacts/artifact_list.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Show the newest of each type, or a page of one type."""
        groups, paging = self._find(request)
        return self.page(
            run=self.run,
            groups=groups,
            paging=paging,
            total_count=sum(group.count for group in groups),
            total_bytes=sum(group.size_bytes for group in groups),
            can_edit=self.can_edit,
        )

    def _find(self, request: HttpRequest) -> tuple[list[Group], Paging | None]:
        """Return what the query asks for. Raises: InvalidInput."""
        wanted = read_page_request(request.GET)
        kind = request.GET.get("type", "")
        if not kind:
            return newest_by_type(self.run), None
        if kind not in ArtifactType.values:
            raise InvalidInput({"type": [f"Must be one of {', '.join(ArtifactType.values)}."]})
        group = page_of_type(self.run, ArtifactType(kind), wanted)
        return [group], Paging(wanted.number, wanted.size, group.count)
