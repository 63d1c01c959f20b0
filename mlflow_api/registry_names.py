"""Registered models and versions by their names, among what the caller may reach."""

from __future__ import annotations

from django.db.models import F

from artifacts.models import ModelVersion, RegisteredModel
from artifacts.querysets import RegisteredModelQuerySet
from artifacts.registry.changing import model_of_project
from mlflow_api.callers import Caller, denied
from mlflow_api.errors import MlflowError, invalid, missing
from mlflow_api.fields import Fields
from projects.models import Project, ProjectStatus, Role
from projects.querysets import is_staff
from runs.querysets import RunQuerySet

MAX_VERSION_DIGITS = 9


def models_of(caller: Caller) -> RegisteredModelQuerySet:
    """Return the registered models that the caller may see; a job's token sees those of its run's project."""
    if caller.job is not None:
        return RegisteredModel.objects.filter(project=caller.job.project_id)
    return RegisteredModel.objects.visible_to(caller.user)


def _models_named(caller: Caller, name: str) -> RegisteredModelQuerySet:
    """Return the models of a name that the caller may see, one of each project at most; of the oldest project first."""
    rows = models_of(caller).filter(name=name).select_related("project", "created_by")
    return rows.order_by(F("project").asc(nulls_last=True), "pk")


def _may_write(caller: Caller, model: RegisteredModel) -> bool:
    if model.project is None:
        return bool(model.created_by_id == caller.user.pk)
    try:
        require_role(caller, model, Role.EDITOR)
    except MlflowError:
        return False
    return True


def is_taken(caller: Caller, name: str, *, other_than: RegisteredModel | None = None) -> bool:
    """Whether the caller could write to a model of this name; what others keep in projects of theirs takes no name."""
    found = [model for model in _models_named(caller, name) if other_than is None or model.pk != other_than.pk]
    return any(_may_write(caller, model) for model in found)


def find_model(caller: Caller, name: str, *, role: Role = Role.VIEWER) -> RegisteredModel:
    """Return the model of a name, of which the caller is an editor where `role` says so.

    Of several the first counts that the caller could write to, so that reading and writing mean the same one. Where
    several could be written to a change is refused, as it might release the wrong one; only renaming means the first.
    Raises: MlflowError (400, 403, 404).
    """
    found = list(_models_named(caller, name))
    if not found:
        raise missing(f"Registered Model with name={name} not found")
    writable = [one for one in found if _may_write(caller, one)] if len(found) > 1 else []
    if role != Role.VIEWER and len(writable) > 1:
        raise invalid(
            f"Several projects have a registered model {name!r} that you may change; rename one of them first."
        )
    model = writable[0] if writable else found[0]
    if role != Role.VIEWER:
        require_role(caller, model, role)
    return model


def model_to_extend(caller: Caller, name: str, project: Project) -> RegisteredModel:
    """Return the model of a name that a checkpoint of `project` is registered in, made where there is none.

    It is that of the project, else one of the caller's own without a version. Raises: MlflowError (400, 403).
    """
    caller.require(project, Role.EDITOR)
    require_active(project)
    found = _models_named(caller, name)
    own = found.filter(project=project).first()
    if own is None and caller.job is None:
        own = found.filter(project=None, created_by=caller.user).first()
    return own or model_of_project(name=name, project=project, by=caller.user)


def require_role(caller: Caller, model: RegisteredModel, role: Role) -> None:
    """Refuse to change a model of an archived project, or with less than `role`. Raises: MlflowError (400, 403)."""
    if model.project is None:
        if model.created_by_id != caller.user.pk and not is_staff(caller.user):
            raise denied(role)
        return
    caller.require(model.project, role)
    require_active(model.project)


def require_active(project: Project) -> None:
    """Refuse to write to the registry of an archived project. Raises: MlflowError (400)."""
    if project.status == ProjectStatus.ARCHIVED:
        raise invalid(f"The experiment {project.uid} must be in the 'active' state.")


def find_version(model: RegisteredModel, number: str) -> ModelVersion:
    """Return a version of a model by its number, with details. Raises: MlflowError (400, 404)."""
    if not (number.isascii() and number.isdigit()):
        raise invalid(f"Model version must be a whole number, got '{number[:100]}'.")
    found = None
    if len(number) <= MAX_VERSION_DIGITS:
        found = model.versions.kept().with_details().filter(number=int(number)).first()
    if found is None:
        raise missing(f"Model Version (name={model.name}, version={number[:100]}) not found")
    return found


def named_model(caller: Caller, fields: Fields, *, role: Role = Role.VIEWER) -> RegisteredModel:
    """Return the model that the field `name` names. Raises: MlflowError (400, 403, 404)."""
    return find_model(caller, fields.needed("name"), role=role)


def named_version(caller: Caller, fields: Fields, *, role: Role = Role.VIEWER) -> ModelVersion:
    """Return the version that `name` and `version` name. Raises: MlflowError (400, 403, 404)."""
    number = fields.needed("version")
    return find_version(named_model(caller, fields, role=role), number)


def reach_of(caller: Caller) -> RunQuerySet | None:
    """Return the runs of whose versions a job's token may change something; None for a person, whose role decides."""
    return caller.runs() if caller.job is not None else None


def require_person(caller: Caller) -> None:
    """Refuse a job's token what would take things from other runs. Raises: MlflowError (403)."""
    if caller.job is not None:
        raise MlflowError("PERMISSION_DENIED", "A run's token neither renames nor deletes what is registered.")
