"""Versions of registered models: made, read, described, staged, tagged, searched and deleted by clients."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from artifacts.models import ModelVersion
from artifacts.registry.changing import NameTaken
from artifacts.registry.naming import MAX_TAG_VALUE
from artifacts.registry.versions import (
    change_version,
    create_version,
    delete_version,
    delete_version_tag,
    move_to_stage,
)
from mlflow_api.callers import Caller
from mlflow_api.endpoint import endpoint
from mlflow_api.errors import invalid
from mlflow_api.fields import Fields
from mlflow_api.keys import MAX_KEY, check_key
from mlflow_api.registry import read_stage, read_tags, taken
from mlflow_api.registry_names import (
    find_model,
    find_version,
    model_to_extend,
    models_of,
    named_version,
    reach_of,
    require_person,
)
from mlflow_api.registry_objects import show_version
from mlflow_api.search.asked import read_size
from mlflow_api.search.listing import VERSION_TABLE, find_page
from mlflow_api.search.offsets import read_page
from mlflow_api.search.ordering import read_sorts
from mlflow_api.search.reading import read_filter
from mlflow_api.search.vocabulary import VERSIONS
from mlflow_api.sources import download_uri, find_source
from projects.models import Role

MAX_SOURCE = 1000
MAX_RUN_LINK = 500
DEFAULT_RESULTS, MAX_RESULTS = 10_000, 200_000
MAX_SHOWN = 10_000  # versions of one answer, however many are asked for


def _answer(version: ModelVersion) -> dict[str, Any]:
    return {"model_version": show_version(find_version(version.model, str(version.number)))}


@endpoint("POST", "mlflow/model-versions/create")
def create(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Register the checkpoint that `source` names; its files must be here already.

    A name that another project has is made in the checkpoint's project as well.
    """
    name = fields.needed("name")
    source = fields.needed("source", most=MAX_SOURCE)
    run_id, run_link = fields.text("run_id"), fields.text("run_link", most=MAX_RUN_LINK)
    description, tags = fields.text("description"), read_tags(fields)
    find_model(caller, name)  # a model that is not there is told before a source that is not
    artifact = find_source(caller, source)
    if run_id and run_id != artifact.run.uid:
        raise invalid(f"Invalid model version source: {source!r} is not of the run {run_id[:100]!r}.")
    try:
        with transaction.atomic():  # a model is not left without the version that it was made for
            version = create_version(
                model=model_to_extend(caller, name, artifact.run.project),
                artifact=artifact,
                source=source,
                by=caller.user,
                actor=caller.name,
                description=description,
                tags=tags,
                run_link=run_link,
            )
    except NameTaken:
        raise taken(name) from None
    return _answer(version)


@endpoint("GET", "mlflow/model-versions/get")
def get(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Return a version."""
    return {"model_version": show_version(named_version(caller, fields))}


@endpoint("PATCH", "mlflow/model-versions/update")
def update(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Describe a version."""
    version = named_version(caller, fields, role=Role.EDITOR)
    changed = change_version(version=version, description=fields.text("description"), reach=reach_of(caller))
    return _answer(changed)


@endpoint("DELETE", "mlflow/model-versions/delete")
def delete(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Delete a version with its aliases; the checkpoint stays, and the number is not used again."""
    require_person(caller)
    delete_version(version=named_version(caller, fields, role=Role.EDITOR), by=caller.user, actor=caller.name)
    return {}


@endpoint("GET", "mlflow/model-versions/search")
def search(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Return a page of the versions that fit a filter, newest first unless told otherwise."""
    clauses = read_filter(fields.text("filter"), VERSIONS)
    sorts = read_sorts(fields.texts("order_by"), VERSIONS)
    page = read_page(fields, min(read_size(fields, DEFAULT_RESULTS, MAX_RESULTS), MAX_SHOWN))
    rows = ModelVersion.objects.kept().filter(model__in=models_of(caller))
    keys, token = find_page(VERSION_TABLE, rows, clauses, sorts, page)
    found = ModelVersion.objects.with_details().in_bulk(keys)
    return {"model_versions": [show_version(found[key]) for key in keys if key in found], **token}


@endpoint("GET", "mlflow/model-versions/get-download-uri")
def get_download_uri(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Return where the files of a version are read."""
    return {"artifact_uri": download_uri(named_version(caller, fields))}


@endpoint("POST", "mlflow/model-versions/transition-stage")
def transition_stage(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Bring a version into a stage; Production is a release, Staging a candidate."""
    stage = read_stage(fields.needed("stage"))
    archive_existing = fields.flag("archive_existing_versions")
    version = named_version(caller, fields, role=Role.EDITOR)
    moved = move_to_stage(
        version=version,
        stage=stage,
        by=caller.user,
        actor=caller.name,
        archive_existing=archive_existing,
        reach=reach_of(caller),
    )
    return _answer(moved)


@endpoint("POST", "mlflow/model-versions/set-tag")
def set_tag(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Put a tag on a version, over one of the same key."""
    key = check_key(fields.needed("key"))
    value = fields.text("value", most=MAX_TAG_VALUE)
    version = named_version(caller, fields, role=Role.EDITOR)
    change_version(version=version, tags={key: value}, reach=reach_of(caller))
    return {}


@endpoint("DELETE", "mlflow/model-versions/delete-tag")
def delete_tag(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Take a tag off a version; twice is fine."""
    key = fields.needed("key", most=MAX_KEY)
    version = named_version(caller, fields, role=Role.EDITOR)
    delete_version_tag(version=version, key=key, reach=reach_of(caller))
    return {}
