"""Projects and runs as the objects that MLflow clients read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from artifacts.models import RunModel
from mlflow_api.inputs import dataset_inputs
from mlflow_api.rows import RowsOfRuns
from projects.models import Project, ProjectStatus
from runs.epoch import milliseconds
from runs.lifecycle import Status
from runs.models import Run, RunMetric, RunParameter, RunTag, RunTracking
from runs.parameters import LOGGED
from runs.telemetry.newest import special_name
from runs.tracking.writing import NAME_TAG

ARTIFACT_SCHEME = "mlflow-artifacts:/"
STATUSES = {
    Status.QUEUED: "SCHEDULED",
    Status.STARTING: "SCHEDULED",
    Status.RUNNING: "RUNNING",
    Status.CANCELLING: "RUNNING",
    Status.COMPLETED: "FINISHED",
    Status.FAILED: "FAILED",
    Status.CANCELLED: "KILLED",
}


def json_number(value: float) -> float | str:
    """Return a number, or the word that stands for NaN or an infinity."""
    return value if math.isfinite(value) else special_name(value)


def key_values(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Return tags or parameters as lists of objects, ordered by key."""
    return [{"key": key, "value": value} for key, value in sorted(pairs)]


def stage_of(*, is_deleted: bool) -> str:
    """Return the lifecycle stage."""
    return "deleted" if is_deleted else "active"


def experiment(project: Project) -> dict[str, Any]:
    """Return a project as an experiment; one more query unless `experiment_tags` is prefetched."""
    tags = [(tag.key, tag.value) for tag in project.experiment_tags.all()]
    return {
        "experiment_id": project.uid,
        "name": project.name,
        "artifact_location": ARTIFACT_SCHEME + project.uid,
        "lifecycle_stage": stage_of(is_deleted=project.status == ProjectStatus.ARCHIVED),
        "creation_time": milliseconds(project.created_at),
        "last_update_time": milliseconds(project.updated_at),
        "tags": key_values(tags),
    }


def is_deleted(run: Run) -> bool:
    """Tell whether clients see the run as deleted: to them, archived is."""
    return run.archived_at is not None or run.project.status == ProjectStatus.ARCHIVED


def status_of(run: Run, tracking: RunTracking | None) -> str:
    """Return the status: the client's word, but for a managed run that ended, of which the scheduler knows how."""
    if tracking is not None and not (run.is_managed and run.is_terminal):
        return tracking.client_status
    return STATUSES[Status(run.status)]


def _start_time(run: Run, tracking: RunTracking | None) -> int:
    """Return when a run started: as its client says, but for a managed one, of which the scheduler knows."""
    if run.is_managed:
        return milliseconds(run.started_at or run.created_at)
    return tracking.start_time if tracking else 0


def run_info(run: Run) -> dict[str, Any]:
    """Return a run's `info`; `project` and `tracking` are loaded with it."""
    tracking: RunTracking | None = getattr(run, "tracking", None)
    info: dict[str, Any] = {
        "run_id": run.uid,
        "run_uuid": run.uid,
        "run_name": run.name,
        "experiment_id": run.project.uid,
        "user_id": tracking.user_id if tracking else "",
        "status": status_of(run, tracking),
        "start_time": _start_time(run, tracking),
        "artifact_uri": f"{ARTIFACT_SCHEME}{run.project.uid}/{run.uid}/artifacts",
        "lifecycle_stage": stage_of(is_deleted=is_deleted(run)),
    }
    end_time = tracking.end_time if tracking and not run.is_managed else None  # the scheduler knows of a managed one
    if end_time is None and run.completed_at is not None:
        end_time = milliseconds(run.completed_at)
    if end_time is not None:
        info["end_time"] = end_time
    return info


# Of parameters of one name in several groups the first one is shown: what a client logged hides what was given.
PARAMETER_RANKS = {group: rank for rank, group in enumerate((LOGGED, "hyperparameters", "model_parameters"))}


def _rank(row: tuple[Any, ...]) -> int:
    return PARAMETER_RANKS[row[1]]


_METRICS = RowsOfRuns(RunMetric.objects.order_by("key"), "run_id", "key", "step", "time", "value", "special")
_PARAMETERS = RowsOfRuns(RunParameter.objects.all(), "run_id", "group", "name", "number", "text", "value")
_TAGS = RowsOfRuns(RunTag.objects.all(), "run_id", "key", "value")
_MODELS = RowsOfRuns(RunModel.objects.order_by("pk"), "run_id", "model__uid", "is_input", "step")


def show_runs(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return runs with newest metrics, parameters, tags, datasets and models; at most nine queries, however many runs.

    `project` and `tracking` are loaded with the runs.
    """
    keys = [run.pk for run in runs]
    data: dict[int, dict[str, Any]] = {
        key: {"metrics": [], "params": {}, "tags": {}, "read": [], "made": []} for key in keys
    }
    for run_id, key, step, time, value, special in _METRICS.of(keys):
        data[run_id]["metrics"].append(
            {"key": key, "value": special if value is None else value, "timestamp": time, "step": step}
        )
    for run_id, _, name, number, text, exact in sorted(_PARAMETERS.of(keys), key=_rank, reverse=True):
        data[run_id]["params"][name] = parameter_text(number, text, exact)  # of several the last, of the first rank
    for run_id, key, tag in _TAGS.of(keys):
        data[run_id]["tags"][key] = tag
    for run_id, uid, is_input, made_at in _MODELS.of(keys):
        data[run_id]["read" if is_input else "made"].append({"model_id": uid, "step": made_at or 0})
    datasets = dataset_inputs(keys)
    return [_show(run, {**data[run.pk], "datasets": datasets[run.pk]}) for run in runs]


def _show(run: Run, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "info": run_info(run),
        "data": {
            "metrics": data["metrics"],
            "params": key_values(data["params"].items()),
            "tags": key_values({**data["tags"], NAME_TAG: run.name}.items()),
        },
        "inputs": _inputs(data["datasets"], [{"model_id": link["model_id"]} for link in data["read"]]),
        "outputs": {"model_outputs": data["made"]} if data["made"] else {},
    }


def _inputs(datasets: list[Any], models: list[Any]) -> dict[str, Any]:
    named = {"dataset_inputs": datasets, "model_inputs": models}
    return {name: inputs for name, inputs in named.items() if inputs}


def parameter_text(number: float | None, text: str | None, exact: str | None) -> str:
    """Return a parameter as a client reads it: to the letter what one wrote, else the value given at the launch."""
    if exact is not None:
        return exact
    if number is None:
        return text or ""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
