"""Paths of the pages of artifacts, below /ui/."""

from django.urls import path

from artifacts.views import detail, downloads, keeping, lineage, lists, models, releases, resume
from runs.urls import PROJECT, RUN

ARTIFACT = "artifacts/<uid:artifact_id>"

urlpatterns = [
    path(f"{PROJECT}/releases", releases.ReleaseListView.as_view(), name="releases"),
    path(f"{PROJECT}/checkpoints", keeping.CheckpointPlanView.as_view(), name="checkpoint-plan"),
    path("storage", keeping.StorageView.as_view(), name="storage"),
    path(f"{RUN}/artifacts", lists.ArtifactListView.as_view(), name="artifacts"),
    path(f"{RUN}/lineage", lineage.LineageView.as_view(), name="lineage"),
    path("models", models.ModelListView.as_view(), name="models"),
    path("models/<int:model_id>", models.ModelDetailView.as_view(), name="model"),
    path(ARTIFACT, detail.ArtifactDetailView.as_view(), name="artifact"),
    path(f"{ARTIFACT}/tags/<slug:tag>/remove", detail.ArtifactUntagView.as_view(), name="artifact-untag"),
    path(f"{ARTIFACT}/verify", detail.ArtifactVerifyView.as_view(), name="artifact-verify"),
    path(f"{ARTIFACT}/download", downloads.ArtifactDownloadView.as_view(), name="artifact-download"),
    path(f"{ARTIFACT}/files/<int:index>", downloads.ArtifactFileView.as_view(), name="artifact-file"),
    path(f"{ARTIFACT}/resume", resume.RunResumeView.as_view(), name="run-resume"),
]
