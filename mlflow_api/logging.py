"""Metrics, parameters and tags of runs, one by one and in batches."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from mlflow_api.callers import Caller, Target
from mlflow_api.columns import Columns, read_columns
from mlflow_api.endpoint import MAX_BATCH_BYTES, endpoint
from mlflow_api.errors import invalid
from mlflow_api.fields import Fields
from mlflow_api.keys import MAX_PARAM_VALUE, MAX_TAG_VALUE, check_key
from mlflow_api.logged_models import note_metrics
from mlflow_api.runs import active_run, read_tags
from runs.tracking.external import check_time
from runs.tracking.writing import delete_tag, log_batch, log_points, set_tags

MAX_METRICS, MAX_PARAMS, MAX_TAGS = 1000, 100, 100
MAX_TOGETHER = 1000
ModelPoint = tuple[str, tuple[str, float, int, int]]  # the model's id; key, value, time in ms, step


def target_of(caller: Caller, fields: Fields) -> Target | None:
    """Return where points of a request go; None when `active_run` has to tell. Raises: MlflowError (400)."""
    return caller.target(fields.needed("run_id", "run_uuid"))


def read_metric(metric: Fields, into: dict[str, Columns], of_models: list[ModelPoint]) -> None:
    """Add one point to the columns of its key, and to those of models where it names one. Raises: MlflowError (400)."""
    key = check_key(metric.needed("key"))
    value = metric.number("value")
    time = metric.whole("timestamp")
    if time is None:
        raise metric.missing("timestamp")
    columns = into.setdefault(key, {"step": [], "time": [], "value": []})
    columns["step"].append(metric.whole("step") or 0)
    columns["time"].append(check_time("timestamp", time))
    columns["value"].append(value)
    if model_id := metric.text("model_id"):
        of_models.append((model_id, (key, value, time, metric.whole("step") or 0)))


def read_metrics(fields: Fields) -> tuple[dict[str, Columns], list[ModelPoint]]:
    """Return the points of a batch as columns by key, and those that name a model. Raises: MlflowError (400)."""
    of_models: list[ModelPoint] = []
    points = read_columns(fields.plain("metrics"))
    if points is None:
        points = {}
        for metric in fields.objects("metrics"):
            read_metric(metric, points, of_models)
    return points, of_models


def read_parameters(fields: Fields) -> dict[str, str]:
    """Return the parameters of a batch by key; values over 6,000 characters are cut. Raises: MlflowError (400)."""
    found: dict[str, str] = {}
    for parameter in fields.objects("params"):
        key = check_key(parameter.needed("key"))
        if key in found:
            raise invalid(f"Duplicate parameter keys have been submitted: {key!r}.")
        found[key] = parameter.text("value")[:MAX_PARAM_VALUE]
    return found


@endpoint("POST", "mlflow/runs/log-batch", max_bytes=MAX_BATCH_BYTES)
def batch(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Write metrics, parameters and tags, all or nothing."""
    counts = {name: fields.count(name) for name in ("metrics", "params", "tags")}
    for name, most in (("metrics", MAX_METRICS), ("params", MAX_PARAMS), ("tags", MAX_TAGS)):
        if counts[name] > most:
            raise invalid(f"A batch holds at most {most} {name}; this one holds {counts[name]}.")
    if sum(counts.values()) > MAX_TOGETHER:
        raise invalid(f"A batch holds at most {MAX_TOGETHER} metrics, params and tags together.")
    points, of_models = read_metrics(fields)
    if not counts["params"] and not counts["tags"] and (target := target_of(caller, fields)):
        log_points(run_id=target.run_id, points=points, attempt_number=target.attempt_number)
    else:
        run = active_run(caller, fields)
        log_batch(
            run=run,
            points=points,
            parameters=read_parameters(fields),
            tags=read_tags(fields),
            attempt_number=caller.attempt_number(run),
        )
    note_metrics(caller, of_models)
    return {}


@endpoint("POST", "mlflow/runs/log-metric")
def metric(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Write one point."""
    points: dict[str, Columns] = {}
    of_models: list[ModelPoint] = []
    read_metric(fields, points, of_models)
    target = target_of(caller, fields)
    if target is None:
        run = active_run(caller, fields)
        target = Target(run.pk, caller.attempt_number(run))
    log_points(run_id=target.run_id, points=points, attempt_number=target.attempt_number)
    note_metrics(caller, of_models)
    return {}


@endpoint("POST", "mlflow/runs/log-parameter")
def parameter(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Write one parameter, once: the same value again changes nothing, another one is refused."""
    key = check_key(fields.needed("key"))
    value = fields.text("value")[:MAX_PARAM_VALUE]
    log_batch(run=active_run(caller, fields), points={}, parameters={key: value}, tags={})
    return {}


@endpoint("POST", "mlflow/runs/set-tag")
def tag(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Put a tag on a run, over one of the same key."""
    key = check_key(fields.needed("key"))
    value = fields.text("value")[:MAX_TAG_VALUE]
    with transaction.atomic():
        set_tags(run=active_run(caller, fields), tags={key: value})
    return {}


@endpoint("POST", "mlflow/runs/delete-tag")
def untag(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Take a tag off a run."""
    delete_tag(run=active_run(caller, fields), key=fields.needed("key"))
    return {}
