"""Logged models: checkpoints that a client puts file by file, with a name, parameters, tags and metrics."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from enum import Enum
from typing import Any

from django.db.models import Q, QuerySet

from artifacts.models import LoggedModel, Readiness
from artifacts.tracking import logged
from artifacts.tracking.checkpoints import mark_model
from artifacts.tracking.files import Sender
from artifacts.tracking.history import append_to_history
from mlflow_api.callers import Caller
from mlflow_api.endpoint import endpoint
from mlflow_api.errors import MlflowError, invalid, missing
from mlflow_api.experiments import find_project
from mlflow_api.fields import Fields
from mlflow_api.keys import MAX_KEY, MAX_PARAM_VALUE, MAX_TAG_VALUE
from mlflow_api.objects import ARTIFACT_SCHEME, is_deleted, key_values
from mlflow_api.runs import active_run
from projects.models import ProjectStatus, Role
from runs.epoch import milliseconds
from trainhub.api.parsers import parse_json
from trainhub.errors import MalformedBody, NotFound

MAX_TYPE = 500
MAX_OUTPUTS = 1000  # models in one request
_ID = re.compile(r"m-[0-9a-f]{32}")


class ClientWord(Enum):
    """What a client says of a model, numbered as the protocol does."""

    LOGGED_MODEL_PENDING = Readiness.PENDING
    LOGGED_MODEL_READY = Readiness.READY
    LOGGED_MODEL_UPLOAD_FAILED = Readiness.UPLOAD_FAILED


def models_of(caller: Caller) -> QuerySet[LoggedModel]:
    """Return the models that the caller may see: a job's token those of its runs."""
    rows = LoggedModel.objects.select_related("project", "run__project", "run__tracking", "artifact")
    rows = rows.defer("run__recipe_snapshot", "artifact__manifest", "artifact__places")
    if caller.job is not None:
        return rows.filter(run__in=caller.runs())
    return rows.filter(Q(run=None) | Q(run__deleted_at=None), project__in=caller.projects())


def find_model(caller: Caller, uid: str, *, role: Role = Role.VIEWER) -> LoggedModel:
    """Return a model in whose project the caller has at least `role`. Raises: MlflowError (404, 403)."""
    found = models_of(caller).filter(uid=uid).first() if _ID.fullmatch(uid) else None
    if found is None:
        raise no_model(uid)
    caller.require(found.project, role)
    return found


def no_model(uid: str) -> MlflowError:
    """Return the error for a model that is not there for the caller."""
    return missing(f"Logged model with ID '{uid[:100]}' not found.")


def active_model(caller: Caller, uid: str) -> LoggedModel:
    """Return a model that a request writes to. Raises: MlflowError (404, 403; 400 where its run is deleted)."""
    found = find_model(caller, uid, role=Role.EDITOR)
    check_active(found)
    return found


def active_models(caller: Caller, uids: Collection[str]) -> list[LoggedModel]:
    """Return models that a request writes to. One query, and one for each project. Raises: MlflowError as for one."""
    found = list(models_of(caller).filter(uid__in=[uid for uid in uids if _ID.fullmatch(uid)]))
    for uid in set(uids) - {model.uid for model in found}:
        raise no_model(uid)
    for project in {model.project for model in found}:
        caller.require(project, Role.EDITOR)
    for model in found:
        check_active(model)
    return found


def check_active(model: LoggedModel) -> None:
    """Raise MlflowError (400) where run or project of a model count as deleted."""
    if not is_active(model):
        raise invalid("The run and the experiment of the model must be in the 'active' state.")


def is_active(model: LoggedModel) -> bool:
    """Tell whether neither run nor project of a model count as deleted."""
    return model.project.status != ProjectStatus.ARCHIVED and (model.run is None or not is_deleted(model.run))


def model_uri(model: LoggedModel) -> str:
    """Return where clients put and find the files of a model."""
    return f"{ARTIFACT_SCHEME}{model.project.uid}/models/{model.uid}/artifacts"


def show_model(model: LoggedModel) -> dict[str, Any]:
    """Return a model as clients read it."""
    info = {
        "model_id": model.uid,
        "experiment_id": model.project.uid,
        "name": model.name,
        "creation_timestamp_ms": milliseconds(model.created_at),
        "last_updated_timestamp_ms": milliseconds(model.updated_at),
        "artifact_uri": model_uri(model),
        "status": model.readiness,
        "model_type": model.model_type,
        "tags": key_values(model.tags.items()),
    }
    run = {} if model.run is None else {"run_id": model.run.uid}
    if model.run is not None:
        info["source_run_id"] = model.run.uid
    metrics = [
        {"key": key, "value": value, "timestamp": time, "step": step, "model_id": model.uid, **run}
        for key, (value, time, step) in sorted(model.metrics.items())
    ]
    return {"info": info, "data": {"params": key_values(model.parameters.items()), "metrics": metrics}}


def read_pairs(fields: Fields, name: str, longest_value: int) -> dict[str, str]:
    """Return parameters or tags by key; longer values are cut, the last of a key counts. Raises: MlflowError (400)."""
    return {pair.needed("key", most=MAX_KEY): pair.text("value")[:longest_value] for pair in fields.objects(name)}


# --- Models ---------------------------------------------------------------------------------------
@endpoint("POST", "mlflow/logged-models")
def create(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Record a model. With a job's token, one without a run is the job's."""
    project = find_project(caller, fields.needed("experiment_id"), role=Role.EDITOR)
    if project.status == ProjectStatus.ARCHIVED:
        raise invalid(f"The experiment {project.uid} must be in the 'active' state.")
    run_id = fields.text("source_run_id")
    run = active_run(caller, Fields({"run_id": run_id})) if run_id else caller.job
    model = logged.create_logged_model(
        project=project,
        run=run,
        name=fields.text("name"),
        model_type=fields.text("model_type", most=MAX_TYPE),
        parameters=read_pairs(fields, "params", MAX_PARAM_VALUE),
        tags=read_pairs(fields, "tags", MAX_TAG_VALUE),
    )
    return {"model": show_model(find_model(caller, model.uid))}


@endpoint("GET", "mlflow/logged-models/<str:model_id>")
def get(caller: Caller, fields: Fields, model_id: str) -> dict[str, Any]:  # noqa: ARG001 - as all endpoints
    """Return a model."""
    return {"model": show_model(find_model(caller, model_id))}


@endpoint("PATCH", "mlflow/logged-models/<str:model_id>")
def finalize(caller: Caller, fields: Fields, model_id: str) -> dict[str, Any]:
    """Take the client's word that a model is whole, or that its upload failed."""
    model = active_model(caller, model_id)
    word = fields.choice("status", ClientWord)
    if word is None or word is ClientWord.LOGGED_MODEL_PENDING:
        raise invalid("Invalid value for parameter 'status': LOGGED_MODEL_READY or LOGGED_MODEL_UPLOAD_FAILED.")
    logged.finalize_model(model=model, readiness=word.value, by=Sender(caller.name, caller.user))
    return {"model": show_model(find_model(caller, model_id))}


@endpoint("DELETE", "mlflow/logged-models/<str:model_id>")
def delete(caller: Caller, fields: Fields, model_id: str) -> dict[str, Any]:  # noqa: ARG001 - as all endpoints
    """Delete a model; its checkpoint stays once it is whole."""
    logged.delete_logged_model(model=active_model(caller, model_id))
    return {}


@endpoint("POST", "mlflow/logged-models/<str:model_id>/params")
def add_parameters(caller: Caller, fields: Fields, model_id: str) -> dict[str, Any]:
    """Write parameters of a model, once."""
    parameters = read_pairs(fields, "params", MAX_PARAM_VALUE)
    logged.add_parameters(model=active_model(caller, model_id), parameters=parameters)
    return {}


@endpoint("PATCH", "mlflow/logged-models/<str:model_id>/tags")
def set_tags(caller: Caller, fields: Fields, model_id: str) -> dict[str, Any]:
    """Write tags of a model over those of the same key."""
    tags = read_pairs(fields, "tags", MAX_TAG_VALUE)
    logged.set_model_tags(model=active_model(caller, model_id), tags=tags)
    return {"model": show_model(find_model(caller, model_id))}


@endpoint("DELETE", "mlflow/logged-models/<str:model_id>/tags/<path:key>")
def delete_tag(caller: Caller, fields: Fields, model_id: str, key: str) -> dict[str, Any]:  # noqa: ARG001 - as all
    """Take a tag off a model."""
    logged.delete_model_tag(model=active_model(caller, model_id), key=key)
    return {}


# --- Models of runs -------------------------------------------------------------------------------
@endpoint("POST", "mlflow/runs/outputs")
def outputs(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Note which models a run made, and at which steps; of a model that is named twice the last step."""
    run = active_run(caller, fields)
    if (count := fields.count("models")) > MAX_OUTPUTS:
        raise invalid(f"Invalid value for parameter 'models': {count} were given, at most {MAX_OUTPUTS} are taken.")
    steps = {link.needed("model_id"): link.whole("step") or 0 for link in fields.objects("models")}
    models = active_models(caller, list(steps))
    logged.link_models(run=run, steps={model: steps[model.uid] for model in models})
    return {}


@endpoint("POST", "mlflow/runs/log-model")
def log_model(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Take the word of a client of MLflow 2 that the files below a path of a run are a model."""
    run = active_run(caller, fields)
    try:
        described = parse_json(fields.needed("model_json").encode())
    except MalformedBody as error:
        raise invalid(f"Invalid value for parameter 'model_json': {error.detail}") from None
    if not isinstance(described, dict):
        raise invalid("Invalid value for parameter 'model_json': it must be a JSON object.")
    path = Fields(described, "model_json.").needed("artifact_path")
    mark_model(run=run, path=path.rstrip("/"), by=Sender(caller.name, caller.user))
    append_to_history(run=run, described=described)
    return {}


def note_metrics(caller: Caller, metrics: Iterable[tuple[str, tuple[str, float, int, int]]]) -> None:
    """Keep points with their models, too: (model id, (key, value, time in ms, step)).

    A model that the caller may not write to, or that is gone, is left out: the run has the points in any case.
    """
    by_model: dict[str, list[tuple[str, float, int, int]]] = {}
    for uid, point in metrics:
        by_model.setdefault(uid, []).append(point)
    if not by_model:
        return
    known = [uid for uid in by_model if _ID.fullmatch(uid)]
    for model in _writable(caller, models_of(caller).filter(uid__in=known)):
        with suppress(NotFound):
            logged.note_model_metrics(model=model, points=by_model[model.uid])


def _writable(caller: Caller, models: Iterable[LoggedModel]) -> Iterator[LoggedModel]:
    """Yield those that the caller may write to and that do not count as deleted. One query for each project."""
    is_editor: dict[int, bool] = {}
    for model in models:
        if model.project_id not in is_editor:
            is_editor[model.project_id] = caller.may(model.project, Role.EDITOR)
        if is_editor[model.project_id] and is_active(model):
            yield model
