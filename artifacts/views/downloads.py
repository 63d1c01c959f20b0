"""Downloads of artifacts."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from artifacts.downloads import send_file, send_whole
from artifacts.views.scoped import ArtifactScopedView


class ArtifactDownloadView(ArtifactScopedView):
    """The whole artifact as a file."""

    def get(self, request: HttpRequest, artifact_id: str) -> HttpResponseBase:  # noqa: ARG002
        """Send a single file as it is, a folder as a tar."""
        return send_whole(self.artifact)


class ArtifactFileView(ArtifactScopedView):
    """One file of an artifact."""

    def get(self, request: HttpRequest, artifact_id: str, index: int) -> HttpResponseBase:  # noqa: ARG002
        """Send the file."""
        return send_file(self.artifact, index)
