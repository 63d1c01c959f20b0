"""The lineage of a run."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from artifacts.views.scoped import RunOfArtifactsView


class LineageView(RunOfArtifactsView):
    """Where a run comes from, and what goes on from it, as a picture and as a list."""

    template_name = "artifacts/lineage.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Draw it."""
        return self.page(run=self.run)
