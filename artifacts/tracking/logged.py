"""Logged models: made by a client, filled with files, and declared ready or failed; a checkpoint of their run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from artifacts.manifest import is_safe_name
from artifacts.models import Artifact, ArtifactState, ArtifactType, LoggedModel, Readiness, RunModel
from artifacts.storage import store_of
from artifacts.tracking.checkpoints import complete_checkpoint
from artifacts.tracking.files import Sender, check_path, make_group, put_file
from artifacts.tracking.places import MAX_NAME, Place, find_step
from projects.models import Project
from runs.models import Run
from runs.telemetry.newest import special_name
from trainhub.errors import InvalidInput, NotFound

MAX_MODEL_NAME = 500
MAX_PAIRS = 2000  # parameters, tags or metrics of a model
_FORBIDDEN = set("/:.%\"'")


def check_model_name(name: str) -> str:
    """Return a name that a model may have. Raises: InvalidInput."""
    if not name or len(name) > MAX_MODEL_NAME or _FORBIDDEN & set(name):
        raise InvalidInput({"name": [f"Must have 1 to {MAX_MODEL_NAME} characters, none of / : . % \" '"]})
    return name


@transaction.atomic
def create_logged_model(
    *,
    project: Project,
    run: Run | None,
    name: str = "",
    model_type: str = "",
    parameters: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> LoggedModel:
    """Record a model that a client is about to log; without a name one is made up. Rows: the model, its run's link.

    Raises: InvalidInput for a name, or for a run of another project.
    """
    if run is not None and run.project_id != project.pk:
        raise InvalidInput({"source_run_id": ["The run belongs to another experiment."]})
    model = LoggedModel(project=project, run=run, model_type=model_type)
    model.name = check_model_name(name or f"model-{model.uid[2:10]}")
    model.parameters, model.tags = _bounded("params", parameters or {}), _bounded("tags", tags or {})
    model.save(force_insert=True)
    return model


def _bounded(what: str, pairs: Mapping[str, Any]) -> dict[str, Any]:
    if len(pairs) > MAX_PAIRS:
        raise InvalidInput({what: [f"A model has at most {MAX_PAIRS}."]})
    return dict(pairs)


def put_model_file(
    *, model: LoggedModel, path: str, blocks: Iterable[bytes], size_bytes: int | None, by: Sender
) -> Artifact:
    """Store a file of a model, whose checkpoint is made with the first. Outside any transaction.

    Raises: as `put_file`; InvalidInput for a model without a run.
    """
    if model.run is None:
        raise InvalidInput({"path": ["A model without a source run takes no files here."]})
    place = Place(source_of(model), ArtifactType.CHECKPOINT, is_directory=True)
    check_path(f"{place.source}/{path}")
    if model.artifact_id is None:
        _make_checkpoint(model, place)
    full = f"{place.source}/{path}"
    return put_file(run=model.run, path=full, blocks=blocks, size_bytes=size_bytes, by=by, place=place)


def source_of(model: LoggedModel) -> str:
    """Return where the files of a model lie in the tree of its run."""
    return f"models/{model.uid}"


def _make_checkpoint(model: LoggedModel, place: Place) -> None:
    """Give a model the checkpoint that its files make up; nobody sees it before the model is ready."""
    assert model.run is not None
    checkpoint = make_group(model.run, place.source, place)
    with transaction.atomic():
        locked = _lock(model)
        # 0 is what clients send that were told no step: then the name may know it.
        made = RunModel.objects.filter(model=model, is_input=False, step__gt=0).order_by("pk").first()
        known = {"step": made.step if made else place.step or find_step(model.name)}
        # Who resumes from it gets a folder of this name.
        name = model.name[:MAX_NAME] if is_safe_name(model.name[:MAX_NAME]) else model.uid
        Artifact.objects.filter(pk=checkpoint.pk).update(name=name, **known)
        locked.artifact = model.artifact = checkpoint
        locked.save(update_fields=["artifact"])


def _lock(model: LoggedModel) -> LoggedModel:
    """Lock and return a model. Raises: NotFound when it was deleted meanwhile. Call in a transaction."""
    locked = LoggedModel.objects.select_for_update().filter(pk=model.pk).first()
    if locked is None:
        raise NotFound("There is no such model.")
    return locked


def _save(locked: LoggedModel, *fields: str) -> LoggedModel:
    locked.updated_at = timezone.now()
    locked.save(update_fields=[*fields, "updated_at"])
    return locked


def finalize_model(*, model: LoggedModel, readiness: Readiness, by: Sender) -> LoggedModel:
    """Take a client's word that a model is READY, which makes its checkpoint whole, or that the upload FAILED.

    The same word again changes nothing. Raises: InvalidInput for another word on a model that is ready.
    """
    with transaction.atomic():
        locked = _lock(model)
        if locked.readiness == Readiness.READY and readiness != Readiness.READY:
            raise InvalidInput({"status": ["The model is ready; that cannot be taken back."]})
        if locked.readiness != readiness:
            locked.readiness = readiness
            _save(locked, "readiness")
        if readiness == Readiness.READY and locked.artifact is not None:
            complete_checkpoint(checkpoint=locked.artifact, by=by)
    return locked


@transaction.atomic
def add_parameters(*, model: LoggedModel, parameters: Mapping[str, str]) -> LoggedModel:
    """Write parameters, once: the same value again changes nothing. Raises: InvalidInput for another value."""
    locked = _lock(model)
    for key, value in parameters.items():
        if locked.parameters.get(key, value) != value:
            raise InvalidInput({"params": [f"The parameter {key!r} has another value already."]})
    locked.parameters = _bounded("params", {**locked.parameters, **parameters})
    return _save(locked, "parameters")


@transaction.atomic
def set_model_tags(*, model: LoggedModel, tags: Mapping[str, str]) -> LoggedModel:
    """Write tags over those of the same key. Raises: InvalidInput for too many."""
    locked = _lock(model)
    locked.tags = _bounded("tags", {**locked.tags, **tags})
    return _save(locked, "tags")


@transaction.atomic
def delete_model_tag(*, model: LoggedModel, key: str) -> LoggedModel:
    """Take a tag off. Raises: NotFound when it is not there."""
    locked = _lock(model)
    if key not in locked.tags:
        raise NotFound(f"The model has no tag {key!r}.")
    del locked.tags[key]
    return _save(locked, "tags")


def delete_logged_model(*, model: LoggedModel) -> None:
    """Delete what a client said of a model. Its checkpoint stays once it is whole; files of one that is not go."""
    with transaction.atomic():
        artifact = _lock(model).artifact
        model.delete()
        is_open = artifact is not None and artifact.state == ArtifactState.WRITING
        if artifact is not None and is_open:
            Artifact.objects.filter(pk=artifact.pk).delete()
    if artifact is not None and is_open:
        store_of(artifact).delete(artifact.uid)


@transaction.atomic
def link_models(*, run: Run, steps: Mapping[LoggedModel, int]) -> None:
    """Note that a run made models, each at a step; again replaces the step.

    The step becomes that of the checkpoint. A model that was deleted meanwhile is left out. Four queries.
    """
    kept = LoggedModel.objects.select_for_update().filter(pk__in=[model.pk for model in steps]).order_by("pk")
    locked = {model.pk: steps[model] for model in kept}
    RunModel.objects.bulk_create(
        [RunModel(run=run, model_id=pk, step=step) for pk, step in locked.items()],
        update_conflicts=True,
        unique_fields=["run", "model", "is_input"],
        update_fields=["step"],
    )
    # 0 is what clients send that were told no step: the checkpoint keeps the one in its name.
    told = [pk for pk, step in locked.items() if step]
    checkpoints = list(Artifact.objects.filter(logged_model__in=told).select_related("logged_model").order_by("pk"))
    for checkpoint in checkpoints:
        checkpoint.step = locked[checkpoint.logged_model.pk]
    Artifact.objects.bulk_update(checkpoints, ["step"])


@transaction.atomic
def note_model_metrics(*, model: LoggedModel, points: Iterable[tuple[str, float, int, int]]) -> None:
    """Keep the newest point of each metric of a model: of (key, value, time in ms, step) by step, time and value.

    Metrics over MAX_PAIRS are left out: the run has them.
    """
    locked = _lock(model)
    for key, value, time, step in points:
        known = locked.metrics.get(key)
        if known is None and len(locked.metrics) >= MAX_PAIRS:
            continue
        if known is None or _rank(step, time, value) >= _rank(known[2], known[1], float(known[0])):
            locked.metrics[key] = [value if math.isfinite(value) else special_name(value), time, step]
    _save(locked, "metrics")


def _rank(step: int, time: int, value: float) -> tuple[int, int, bool, float]:
    """Return what orders points; NaN comes before all numbers."""
    return (step, time, not math.isnan(value), 0.0 if math.isnan(value) else value)
