"""Paths of the artifacts API."""

from django.urls import path

from artifacts.api import keeping, views
from runs.api.urls import RUN

ARTIFACT = f"{RUN}/artifacts/<uid:artifact_id>"

urlpatterns = [
    path("storage", keeping.StorageView.as_view(), name="api-storage"),
    path("projects/<uid:project_id>/checkpoint-plan", keeping.CheckpointPlanView.as_view(), name="api-checkpoint-plan"),
    path(f"{RUN}/resume", views.RunResumeView.as_view(), name="api-run-resume"),
    path(f"{RUN}/artifacts", views.ArtifactListView.as_view(), name="api-artifacts"),
    path(ARTIFACT, views.ArtifactView.as_view(), name="api-artifact"),
    path(f"{ARTIFACT}/download", views.ArtifactDownloadView.as_view(), name="api-artifact-download"),
    path(f"{ARTIFACT}/files/<int:index>", views.ArtifactFileView.as_view(), name="api-artifact-file"),
    path(f"{ARTIFACT}/verify", views.ArtifactVerifyView.as_view(), name="api-artifact-verify"),
    path(f"{ARTIFACT}/tag", views.ArtifactTagView.as_view(), name="api-artifact-tag"),
    path(f"{ARTIFACT}/tags/<slug:tag>", views.ArtifactUntagView.as_view(), name="api-artifact-untag"),
]
