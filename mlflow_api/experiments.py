"""Experiments: projects, by name and by id."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Case, Exists, OuterRef, QuerySet, When

from mlflow_api.callers import Caller
from mlflow_api.endpoint import endpoint
from mlflow_api.errors import MlflowError, invalid, missing
from mlflow_api.fields import Fields
from mlflow_api.keys import MAX_EXPERIMENT_TAG_VALUE, MAX_KEY, check_key
from mlflow_api.objects import ARTIFACT_SCHEME, experiment
from projects.models import ExperimentTag, Membership, Project, ProjectStatus, Role
from projects.services import archive_project, create_project, restore_project, update_project
from runs.tracking.external import end_externals

DEFAULT_ID = "0"  # what clients fall back to when nobody named an experiment
DEFAULT_NAME = "Default"
MAX_NAME = 200


def find_project(caller: Caller, uid: str, *, role: Role = Role.VIEWER) -> Project:
    """Return the project that an experiment id names; "0" is the job's own, else the caller's "Default".

    That one is made when it is first asked for, and again when it is in the archive. Raises: MlflowError (404, 403).
    """
    if uid != DEFAULT_ID:
        return caller.project(uid, role=role)
    found = _find_default(caller) or _make_default(caller)
    caller.require(found, role)
    return found


def _find_default(caller: Caller) -> Project | None:
    """Return the "Default" in which runs of nobody's choice belong: the caller's own before one shared with them.

    What others named so and let the caller read, or an operator see, is not meant.
    """
    if caller.job is not None:
        return caller.job.project
    rows = caller.projects().filter(Exists(_may_write(caller)), name=DEFAULT_NAME)
    own_first = Case(When(created_by=caller.user, then=0), default=1)
    return rows.exclude(status=ProjectStatus.ARCHIVED).order_by(own_first, "id").first()


def _make_default(caller: Caller) -> Project:
    with transaction.atomic():
        _lock_person(caller)
        return _find_default(caller) or create_project(by=caller.user, values={"name": DEFAULT_NAME})


def _may_write(caller: Caller) -> QuerySet[Membership]:
    roles = [role for role in Role if role.includes(Role.EDITOR)]
    return Membership.objects.filter(project=OuterRef("pk"), user=caller.user, role__in=roles)


def _lock_person(caller: Caller) -> None:
    """Let one request of a person at a time look whether a name is free and take it. Call in a transaction."""
    get_user_model().objects.select_for_update(no_key=True).get(pk=caller.user.pk)


def find_by_name(caller: Caller, name: str) -> Project | None:
    """Return the project of a name that the caller sees, None without one.

    Names need not be unique here: of several one that is not archived counts, in which the caller may write, the
    oldest; a "Default" is that of id "0". Blanks around a name are no part of it, as when a project is made. A job's
    token knows its own project alone, under whatever name its trainer asks for: loggers come with names of their own.
    """
    if caller.job is not None:
        return caller.job.project
    name = name.strip()
    if name == DEFAULT_NAME and (default := _find_default(caller)):
        return default
    is_archived = Case(When(status=ProjectStatus.ARCHIVED, then=1), default=0)
    is_foreign = Case(When(Exists(_may_write(caller)), then=0), default=1)
    return caller.projects().filter(name=name).order_by(is_archived, is_foreign, "id").first()


@endpoint("GET", "mlflow/experiments/get-by-name")
def get_by_name(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Return the experiment of a name; a deleted one too."""
    name = fields.needed("experiment_name")
    project = find_by_name(caller, name)
    if project is None:
        raise missing(f"Could not find experiment with name {name!r}")
    return {"experiment": experiment(project)}


@endpoint("GET", "mlflow/experiments/get")
def get(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Return the experiment of an id."""
    return {"experiment": experiment(find_project(caller, fields.needed("experiment_id")))}


@endpoint("POST", "mlflow/experiments/create", is_create=True)
def create(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Create a project; its name must be free among those that the caller sees. A job's token may not."""
    name = fields.needed("name", most=MAX_NAME).strip()
    if not name:
        raise invalid("Invalid value for parameter 'name': it must not be blank.")
    location = fields.text("artifact_location")
    if location and not location.startswith(ARTIFACT_SCHEME):
        raise invalid("Invalid value for parameter 'artifact_location': artifacts are kept by this server alone.")
    tags = read_tags(fields)
    if caller.job is not None:
        raise MlflowError("PERMISSION_DENIED", "A run's token reaches the run's own project alone.")
    with transaction.atomic():
        _lock_person(caller)
        if find_by_name(caller, name) is not None:
            raise MlflowError("RESOURCE_ALREADY_EXISTS", f"Experiment {name!r} already exists.")
        project = create_project(by=caller.user, values={"name": name})
        ExperimentTag.objects.bulk_create(
            [ExperimentTag(project=project, key=key, value=value) for key, value in tags.items()]
        )
    return {"experiment_id": project.uid}


def read_tags(fields: Fields) -> dict[str, str]:
    """Return the tags of a request; the last of a key counts. Raises: MlflowError (400)."""
    return {
        check_key(tag.needed("key")): tag.text("value", most=MAX_EXPERIMENT_TAG_VALUE) for tag in fields.objects("tags")
    }


@endpoint("POST", "mlflow/experiments/update")
def update(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Rename a project."""
    project = find_project(caller, fields.needed("experiment_id"), role=Role.ADMIN)
    name = fields.text("new_name", most=MAX_NAME).strip()
    if not name:
        raise fields.missing("new_name")
    taken = find_by_name(caller, name)
    if caller.job is None and taken is not None and taken.pk != project.pk:
        raise MlflowError("RESOURCE_ALREADY_EXISTS", f"Experiment {name!r} already exists.")
    update_project(project=project, values={"name": name})
    return {}


@endpoint("POST", "mlflow/experiments/delete")
def delete(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Archive a project; its runs are seen as deleted as long.

    Runs that a client alone makes go on are ended first; a managed run that goes on has to be cancelled (400).
    """
    project = find_project(caller, fields.needed("experiment_id"), role=Role.ADMIN)
    if project.status == ProjectStatus.ARCHIVED:
        raise missing(f"No active Experiment with id={project.uid} exists")
    with transaction.atomic():
        end_externals(project=project, by=caller.user, actor=caller.name)
        archive_project(project=project)
    return {}


@endpoint("POST", "mlflow/experiments/restore")
def restore(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Take a project out of the archive."""
    project = find_project(caller, fields.needed("experiment_id"), role=Role.ADMIN)
    if project.status != ProjectStatus.ARCHIVED:
        raise missing(f"No deleted Experiment with id={project.uid} exists")
    restore_project(project=project)
    return {}


@endpoint("POST", "mlflow/experiments/set-experiment-tag")
def set_tag(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Put a tag on a project, over one of the same key."""
    project = find_project(caller, fields.needed("experiment_id"), role=Role.EDITOR)
    key = check_key(fields.needed("key"))
    value = fields.text("value", most=MAX_EXPERIMENT_TAG_VALUE)
    _check_active(project)
    ExperimentTag.objects.update_or_create(project=project, key=key, defaults={"value": value})
    return {}


def _check_active(project: Project) -> None:
    if project.status == ProjectStatus.ARCHIVED:
        raise invalid(f"The experiment {project.uid} must be in the 'active' state.")


@endpoint("POST", "mlflow/experiments/delete-experiment-tag")
def delete_tag(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Take a tag off a project."""
    project = find_project(caller, fields.needed("experiment_id"), role=Role.EDITOR)
    key = fields.needed("key", most=MAX_KEY)
    _check_active(project)
    if not ExperimentTag.objects.filter(project=project, key=key).delete()[0]:
        raise missing(f"No tag with key {key!r} on experiment {project.uid}")
    return {}
