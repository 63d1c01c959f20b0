"""Registered models: made, read, renamed, described, tagged, searched and deleted by clients; and their aliases."""

from __future__ import annotations

from typing import Any

from artifacts.models import ModelVersion, RegisteredModel, Stage
from artifacts.registry.changing import NameTaken, change_model, create_model, delete_model, delete_model_tag
from artifacts.registry.naming import MAX_TAG_VALUE, check_name
from artifacts.registry.versions import delete_alias, set_alias
from mlflow_api.callers import Caller
from mlflow_api.endpoint import endpoint
from mlflow_api.errors import MlflowError, invalid, missing
from mlflow_api.fields import Fields
from mlflow_api.keys import MAX_KEY, check_key
from mlflow_api.registry_names import (
    find_version,
    is_taken,
    models_of,
    named_model,
    named_version,
    reach_of,
    require_person,
    require_role,
)
from mlflow_api.registry_objects import show_models, show_version
from mlflow_api.search.asked import read_size
from mlflow_api.search.listing import MODEL_TABLE, PROMPT_TAG, find_page
from mlflow_api.search.offsets import read_page
from mlflow_api.search.ordering import read_sorts
from mlflow_api.search.reading import read_filter
from mlflow_api.search.vocabulary import MODELS
from projects.models import Role

LATEST = "latest"
DEFAULT_RESULTS, MAX_RESULTS = 100, 1000


def read_tags(fields: Fields) -> dict[str, str]:
    """Return the tags of a request; the last of a key counts. Raises: MlflowError (400), also for a prompt."""
    tags = {check_key(tag.needed("key")): tag.text("value", most=MAX_TAG_VALUE) for tag in fields.objects("tags")}
    if PROMPT_TAG in tags:
        raise invalid("Prompts are not kept here.")
    return tags


def read_stage(text: str) -> Stage:
    """Return a stage by its name in any case. Raises: MlflowError (400)."""
    for stage in Stage:
        if stage.value.lower() == text.lower():
            return stage
    raise invalid(f"Invalid Model Version stage: {text[:100]!r}. Value must be one of {', '.join(Stage.values)}.")


def taken(name: str) -> MlflowError:
    """Return the error for a name that a model has already."""
    return MlflowError("RESOURCE_ALREADY_EXISTS", f"Registered Model (name={name}) already exists.")


@endpoint("POST", "mlflow/registered-models/create")
def create(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Make a registered model; with a job's token in the project of its run, else in that of its first version.

    A name is taken where the caller could write to its model: clients then go on with a version of it.
    """
    name = check_name(fields.needed("name"))
    description, tags = fields.text("description"), read_tags(fields)
    if is_taken(caller, name):
        raise taken(name)
    project = caller.job.project if caller.job else None
    try:
        model = create_model(name=name, project=project, by=caller.user, description=description, tags=tags)
    except NameTaken:
        raise taken(name) from None
    return {"registered_model": show_models([model])[0]}


@endpoint("GET", "mlflow/registered-models/get")
def get(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Return the model of a name."""
    return {"registered_model": show_models([named_model(caller, fields)])[0]}


@endpoint("POST", "mlflow/registered-models/rename")
def rename(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Rename a model; the name must be free among those that the caller could write to."""
    require_person(caller)
    model = named_model(caller, fields)
    require_role(caller, model, Role.EDITOR)
    name = check_name(fields.needed("new_name"))
    if is_taken(caller, name, other_than=model):
        raise taken(name)
    try:
        return {"registered_model": show_models([change_model(model=model, name=name)])[0]}
    except NameTaken:
        raise taken(name) from None


@endpoint("PATCH", "mlflow/registered-models/update")
def update(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Describe a model."""
    model = named_model(caller, fields, role=Role.EDITOR)
    changed = change_model(model=model, description=fields.text("description"), reach=reach_of(caller))
    return {"registered_model": show_models([changed])[0]}


@endpoint("DELETE", "mlflow/registered-models/delete")
def delete(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Delete a model with its versions; the checkpoints stay."""
    require_person(caller)
    delete_model(model=named_model(caller, fields, role=Role.EDITOR), by=caller.user, actor=caller.name)
    return {}


@endpoint("GET", "mlflow/registered-models/search")
def search(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Return a page of the models that fit a filter, by name unless told otherwise."""
    clauses = read_filter(fields.text("filter"), MODELS)
    sorts = read_sorts(fields.texts("order_by"), MODELS)
    page = read_page(fields, read_size(fields, DEFAULT_RESULTS, MAX_RESULTS))
    keys, token = find_page(MODEL_TABLE, models_of(caller), clauses, sorts, page)
    found = RegisteredModel.objects.select_related("created_by").in_bulk(keys)
    return {"registered_models": show_models([found[key] for key in keys if key in found]), **token}


def _newest(caller: Caller, fields: Fields) -> list[ModelVersion]:
    """Return the newest version of each stage that is asked for, of all without any."""
    stages = [read_stage(text) for text in fields.texts("stages")] or list(Stage)
    model = named_model(caller, fields)
    versions = ModelVersion.objects.filter(model=model).newest_of_stages().with_details()
    return [version for version in versions.order_by("number") if version.stage in stages]


@endpoint("GET", "mlflow/registered-models/get-latest-versions")
@endpoint("POST", "mlflow/registered-models/get-latest-versions")
def latest_versions(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Return the newest version of each stage."""
    return {"model_versions": [show_version(version) for version in _newest(caller, fields)]}


@endpoint("POST", "mlflow/registered-models/set-tag")
def set_tag(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Put a tag on a model, over one of the same key."""
    key = check_key(fields.needed("key"))
    value = fields.text("value", most=MAX_TAG_VALUE)
    change_model(model=named_model(caller, fields, role=Role.EDITOR), tags={key: value}, reach=reach_of(caller))
    return {}


@endpoint("DELETE", "mlflow/registered-models/delete-tag")
def delete_tag(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Take a tag off a model; twice is fine."""
    key = fields.needed("key", most=MAX_KEY)
    delete_model_tag(model=named_model(caller, fields, role=Role.EDITOR), key=key, reach=reach_of(caller))
    return {}


@endpoint("POST", "mlflow/registered-models/alias")
def alias(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Let an alias point to a version; `release` and `candidate` tag its checkpoint."""
    name = fields.needed("alias")
    version = named_version(caller, fields, role=Role.EDITOR)
    set_alias(version=version, alias=name, by=caller.user, actor=caller.name, reach=reach_of(caller))
    return {}


@endpoint("DELETE", "mlflow/registered-models/alias")
def unalias(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Take an alias away; twice is fine."""
    name = fields.needed("alias")
    model = named_model(caller, fields, role=Role.EDITOR)
    delete_alias(model=model, alias=name, by=caller.user, actor=caller.name, reach=reach_of(caller))
    return {}


@endpoint("GET", "mlflow/registered-models/alias")
def by_alias(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Return the version that an alias points to; `latest` is the one with the highest number."""
    name = fields.needed("alias")
    model = named_model(caller, fields)
    if name.lower() == LATEST:
        number = model.versions.kept().order_by("-number").values_list("number", flat=True).first()
    else:
        number = model.aliases.filter(alias=name).values_list("version__number", flat=True).first()
    if number is None:
        raise missing(f"Registered model alias {name[:255]} not found.")
    return {"model_version": show_version(find_version(model, str(number)))}
