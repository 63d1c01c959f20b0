"""What runs read: datasets and logged models, as clients tell it."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from artifacts.model_inputs import link_inputs
from artifacts.models import LoggedModel
from mlflow_api.callers import Caller
from mlflow_api.endpoint import endpoint
from mlflow_api.errors import invalid, missing
from mlflow_api.fields import Fields
from mlflow_api.runs import active_run
from runs.tracking.datasets import Dataset, log_datasets

MAX_TOGETHER = 1000  # datasets, and models, of one request
MAX_NAME = 500
MAX_DIGEST = 36
MAX_SOURCE_TYPE = 250
MAX_SOURCE = 65_535
MAX_SCHEMA = 1_048_575
MAX_PROFILE = 16_777_215
MAX_TAG_KEY, MAX_TAG_VALUE = 255, 500
MAX_BODY = 32 * 2**20  # bytes: one profile of the largest size, with room for how JSON writes it


def read_dataset(told: Fields) -> Dataset:
    """Return a dataset of a request. Raises: MlflowError (400)."""
    tags = {tag.needed("key", most=MAX_TAG_KEY): tag.text("value", most=MAX_TAG_VALUE) for tag in told.objects("tags")}
    dataset = told.object("dataset")
    return Dataset(
        name=dataset.needed("name", most=MAX_NAME),
        digest=dataset.needed("digest", most=MAX_DIGEST),
        source_type=dataset.needed("source_type", most=MAX_SOURCE_TYPE),
        source=dataset.needed("source", most=MAX_SOURCE),
        schema=dataset.text("schema", most=MAX_SCHEMA),
        profile=dataset.text("profile", most=MAX_PROFILE),
        tags=tags,
    )


def read_models(caller: Caller, fields: Fields) -> list[LoggedModel]:
    """Return the logged models of a request, of projects that the caller sees. Raises: MlflowError (400, 404)."""
    wanted = {told.needed("model_id", most=MAX_NAME) for told in fields.objects("models")}
    found = LoggedModel.objects.filter(uid__in=wanted, project__in=caller.projects())
    by_uid = {model.uid: model for model in found}
    for uid in sorted(wanted - by_uid.keys()):
        raise missing(f"Logged model with ID {uid} not found")
    return [by_uid[uid] for uid in sorted(wanted)]


@endpoint("POST", "mlflow/runs/log-inputs", max_bytes=MAX_BODY)
def log_inputs(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Record the datasets and logged models that a run reads, all or nothing; the same again is merged."""
    for name in ("datasets", "models"):
        if fields.count(name) > MAX_TOGETHER:
            raise invalid(f"A request holds at most {MAX_TOGETHER} {name}; this one holds {fields.count(name)}.")
    run = active_run(caller, fields)
    datasets = [read_dataset(told) for told in fields.objects("datasets")]
    models = read_models(caller, fields)
    with transaction.atomic():
        log_datasets(run=run, datasets=datasets)
        link_inputs(run=run, models=models)
    return {}
