"""Registered models: made, renamed, described, tagged and deleted."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from artifacts.models import Artifact, RegisteredModel
from artifacts.registry.naming import check_description, check_name, put_texts
from artifacts.registry.reach import check_reach_of_model
from artifacts.registry.tagging import take_off_tags
from projects.models import Project
from runs.querysets import RunQuerySet
from trainhub.errors import Conflict, NotFound


class NameTaken(Conflict):
    """A registered model of this name is there already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Registered Model (name={name}) already exists.")


def create_model(
    *, name: str, project: Project | None, by: Any, description: str = "", tags: dict[str, str] | None = None
) -> RegisteredModel:
    """Make a registered model without versions.

    Args:
        name: see `check_name`.
        project: where it belongs; None leaves that to its first version, and shows it to `by` alone until then.
        by: the person whose token the client has, None for one who is gone; then there is a project.
        description: up to 10,000 characters.
        tags: written with it.

    Raises: InvalidInput; NameTaken when the project, or without one the person, has a model of this name.
    """
    model = RegisteredModel(
        name=check_name(name), project=project, created_by=by, description=check_description(description)
    )
    put_texts(model, tags or {})
    _save(model, force_insert=True)
    return model


def model_of_project(*, name: str, project: Project, by: Any) -> RegisteredModel:
    """Return the registered model of a name in a project, made by `by` where there is none. Raises: InvalidInput."""
    return RegisteredModel.objects.get_or_create(name=check_name(name), project=project, defaults={"created_by": by})[0]


def _save(model: RegisteredModel, **options: Any) -> None:
    try:
        with transaction.atomic():
            model.save(**options)
    except IntegrityError:
        raise NameTaken(model.name) from None


def lock_model(model: RegisteredModel) -> RegisteredModel:
    """Lock and return a registered model as it is now. Call in a transaction. Raises: NotFound when it is gone."""
    locked = RegisteredModel.objects.select_for_update(of=("self",)).filter(pk=model.pk).first()
    if locked is None:
        raise NotFound(f"Registered Model with name={model.name} not found")
    return locked


def assign_project(model: RegisteredModel, project: Project) -> None:
    """Give a model that has no project yet one. Raises: NameTaken when the project has a model of this name."""
    model.project = project
    _save(model, update_fields=["project"])


@transaction.atomic
def change_model(
    *,
    model: RegisteredModel,
    name: str | None = None,
    description: str | None = None,
    tags: dict[str, str] | None = None,
    reach: RunQuerySet | None = None,
) -> RegisteredModel:
    """Rename or describe a model, or lay tags over its own; what is None stays.

    Raises: InvalidInput, NameTaken; NotAllowed as `check_reach_of_model`.
    """
    locked = lock_model(model)
    check_reach_of_model(reach, locked)
    if name is not None:
        locked.name = check_name(name)
    if description is not None:
        locked.description = check_description(description)
    put_texts(locked, tags or {})
    locked.updated_at = timezone.now()
    _save(locked)
    return locked


@transaction.atomic
def delete_model_tag(*, model: RegisteredModel, key: str, reach: RunQuerySet | None = None) -> None:
    """Take a tag off a model; it may be gone already. Raises: NotAllowed as `check_reach_of_model`."""
    locked = lock_model(model)
    check_reach_of_model(reach, locked)
    if locked.tags.pop(key, None) is not None:
        locked.updated_at = timezone.now()
        locked.save(update_fields=["tags", "updated_at"])


@transaction.atomic
def delete_model(*, model: RegisteredModel, by: Any, actor: str) -> None:
    """Delete a model with its versions and aliases, and take off the tags that those put on checkpoints."""
    locked = lock_model(model)
    checkpoints = list(Artifact.objects.filter(model_versions__model=locked).distinct().order_by("pk"))
    locked.delete()
    for checkpoint in checkpoints:
        take_off_tags(checkpoint, by=by, actor=actor)
