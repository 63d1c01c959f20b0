"""What tests of the registry share: a checkpoint of the runner's or a client's, and short words for requests."""

from __future__ import annotations

from typing import Any

from artifacts.models import Artifact, LoggedModel
from runs.models import Run
from tests.factories import new_artifact

from .conftest import Tracker


def checkpoint_at(run: Run, path: str = "checkpoints/step-10", **values: Any) -> Artifact:
    """A whole checkpoint of a run at a path of its artifacts."""
    artifact = new_artifact(run, name=path.rsplit("/", 1)[-1], **values)
    artifact.source = path
    artifact.save()
    return artifact


def logged_model(artifact: Artifact | None, run: Run, name: str = "classifier") -> LoggedModel:
    return LoggedModel.objects.create(project=run.project, run=run, artifact=artifact, name=name)


def register(tracker: Tracker, artifact: Artifact, name: str = "summaries", **body: Any) -> dict[str, Any]:
    """Make a model, where there is none, and a version of it; return the version."""
    if tracker.call("GET", f"/mlflow/api/2.0/mlflow/registered-models/get?name={name}").status_code == 404:
        tracker.post("registered-models/create", name=name)
    source = f"runs:/{artifact.run.uid}/{artifact.source}"
    return tracker.post("model-versions/create", name=name, source=source, **body)["model_version"]


def tags_of(artifact: Artifact) -> set[str]:
    return set(artifact.tags.values_list("value", flat=True))
