"""Paths of the pages of artifacts, below /ui/."""

from django.urls import path

from artifacts import views
from runs.urls import RUN

ARTIFACT = "artifacts/<uid:artifact_id>"

urlpatterns = [
    path(f"{RUN}/artifacts", views.ArtifactListView.as_view(), name="artifacts"),
    path(ARTIFACT, views.ArtifactDetailView.as_view(), name="artifact"),
    path(f"{ARTIFACT}/tags/<slug:tag>/remove", views.ArtifactUntagView.as_view(), name="artifact-untag"),
    path(f"{ARTIFACT}/verify", views.ArtifactVerifyView.as_view(), name="artifact-verify"),
    path(f"{ARTIFACT}/download", views.ArtifactDownloadView.as_view(), name="artifact-download"),
    path(f"{ARTIFACT}/files/<int:index>", views.ArtifactFileView.as_view(), name="artifact-file"),
    path(f"{ARTIFACT}/resume", views.RunResumeView.as_view(), name="run-resume"),
]
