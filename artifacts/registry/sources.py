"""Finds the checkpoint that a client means by a place within a run, and the other way round."""

from __future__ import annotations

from artifacts.models import Artifact, LoggedModel
from runs.models import Run
from trainhub.errors import Conflict, NotFound


def artifact_at(run: Run, path: str) -> Artifact:
    """Return what `run` produced at `path`, relative to its artifacts: the newest where several attempts wrote it.

    A logged model is found by its name as well. Run and project are loaded. Raises: NotFound; Conflict while it is
    still being written.
    """
    rows = Artifact.objects.filter(run=run).select_related("run__project").order_by("-created_at", "-id")
    found = rows.whole().filter(source=path).first() or rows.whole().filter(logged_model__name=path).first()
    if found is not None:
        return found
    if rows.filter(source=path).exists():
        raise Conflict(f"The files at {path!r} of the run {run.uid} are still being written.")
    raise NotFound(f"The run {run.uid} has no checkpoint at {path!r}.")


def artifact_of_model(model: LoggedModel) -> Artifact:
    """Return the checkpoint of a logged model, with run and project. Raises: NotFound; Conflict while it is written."""
    found = Artifact.objects.whole().select_related("run__project").filter(logged_model=model).first()
    if found is not None:
        return found
    if model.artifact_id is not None:
        raise Conflict(f"The files of the logged model {model.uid} are still being written.")
    raise NotFound(f"The logged model {model.uid} has no files.")
