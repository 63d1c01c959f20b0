"""What changes projects, members and tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from projects.models import ApiToken, IdempotentAnswer, Membership, Project, ProjectStatus, Role
from projects.offered import executor_choices
from trainhub.errors import Conflict, InvalidInput, NotAllowed

EDITABLE_FIELDS = (
    "name",
    "description",
    "objective",
    "task_type",
    "base_model",
    "owner",
    "tags",
    "default_hyperparameters",
    "default_recipe",
    "default_executor",
    "max_running_runs",
    "max_gpus",
    "log_retention_days",
    "metric_retention_days",
    "keep_last_checkpoints",
    "keep_best_checkpoints",
    "best_metric",
    "best_metric_goal",
)


LIMITS = ("max_running_runs", "max_gpus")  # set by staff alone


@transaction.atomic
def create_project(*, by: Any, values: dict[str, Any]) -> Project:
    """Create a project whose admin is `by`. `values` holds some of EDITABLE_FIELDS, checked by the caller.

    Raises: NotAllowed when somebody else than staff sets a limit, InvalidInput for an executor that is not there or
    values that do not go together.
    """
    _check_changes({name: value for name, value in _editable(values).items() if value not in (None, "")}, by)
    project = Project(**_editable(values), created_by=by)
    check_checkpoint_rule(best=project.keep_best_checkpoints, metric=project.best_metric)
    project.save(force_insert=True)
    Membership.objects.create(project=project, user=by, role=Role.ADMIN)
    return project


def update_project(*, project: Project, values: dict[str, Any], by: Any = None) -> Project:
    """Change settings; the history keeps the version before. What changes nothing makes no version.

    Raises: Conflict for an archived project, NotAllowed when `by` is not staff and a limit would change, InvalidInput
    for an executor that is not there or values that do not go together.
    """
    with transaction.atomic():
        locked = Project.objects.select_for_update().get(pk=project.pk)
        if locked.status == ProjectStatus.ARCHIVED:
            raise Conflict("The project is archived; restore it first.", status=locked.status)
        changes = {name: value for name, value in _editable(values).items() if getattr(locked, name) != value}
        _check_changes(changes, by)
        for name, value in changes.items():
            setattr(locked, name, value)
        check_checkpoint_rule(best=locked.keep_best_checkpoints, metric=locked.best_metric)
        if changes:
            locked.save()
    return locked


def _check_changes(changes: dict[str, Any], by: Any) -> None:
    limits = [name for name in LIMITS if name in changes]
    if limits and not (by is not None and by.is_staff and by.is_active):
        raise NotAllowed(f"Operators alone set {' and '.join(limits)}.")
    executor = changes.get("default_executor")
    if executor and executor not in dict(executor_choices()):
        known = ", ".join(name for name, _ in executor_choices() if name)
        raise InvalidInput({"default_executor": [f"There is no such executor; there are {known}."]})


def check_checkpoint_rule(*, best: int, metric: str) -> None:
    """Raise InvalidInput when the `best` checkpoints are to be kept by no metric."""
    if best and not metric:
        raise InvalidInput({"best_metric": ["Name the metric that tells which checkpoints are the best."]})


def _editable(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in EDITABLE_FIELDS if name in values}


def archive_project(*, project: Project) -> Project:
    """Archive a project: it can be read, nothing can be launched. Runs that go on are a Conflict; twice is fine."""
    with transaction.atomic():
        locked = Project.objects.select_for_update().get(pk=project.pk)
        if locked.status == ProjectStatus.ARCHIVED:
            return locked
        going_on = locked.runs.filter(completed_at__isnull=True).count()
        if going_on:
            raise Conflict(f"{going_on} runs have not ended; cancel them first.", status=locked.status)
        return _set_status(locked, ProjectStatus.ARCHIVED)


def restore_project(*, project: Project) -> Project:
    """Take a project out of the archive. Raises Conflict when it is not in it."""
    with transaction.atomic():
        locked = Project.objects.select_for_update().get(pk=project.pk)
        if locked.status != ProjectStatus.ARCHIVED:
            raise Conflict("The project is not archived.", status=locked.status)
        return _set_status(locked, ProjectStatus.ACTIVE if locked.runs.not_deleted().exists() else ProjectStatus.DRAFT)


def activate_project(*, project: Project) -> None:
    """Mark the project active at its first run. Raises Conflict when it is archived.

    Call inside the transaction that creates the run: the row is locked, so that archiving cannot come between.
    """
    locked = Project.objects.select_for_update().get(pk=project.pk)
    if locked.status == ProjectStatus.ARCHIVED:
        raise Conflict("The project is archived; restore it before launching runs.", status=locked.status)
    if locked.status == ProjectStatus.DRAFT:
        _set_status(locked, ProjectStatus.ACTIVE)


def _set_status(project: Project, status: ProjectStatus) -> Project:
    project.status = status
    project.save()
    return project


def set_member(*, project: Project, username: str, role: Role) -> Membership:
    """Give a person a role in the project. Raises InvalidInput for an unknown user, Conflict for the last admin."""
    user = get_user_model().objects.filter(username=username, is_active=True).first()
    if user is None:
        raise InvalidInput({"username": ["There is no such active user."]})
    with transaction.atomic():
        _lock_members(project)
        if role != Role.ADMIN:
            _keep_an_admin(project, without=user)
        membership, _ = Membership.objects.update_or_create(project=project, user=user, defaults={"role": role})
    return membership


def remove_member(*, project: Project, membership: Membership) -> None:
    """Take a person out of the project. Raises Conflict for the last admin."""
    with transaction.atomic():
        _lock_members(project)
        _keep_an_admin(project, without=membership.user)
        membership.delete()


def _lock_members(project: Project) -> None:
    Project.objects.select_for_update().get(pk=project.pk)


def _keep_an_admin(project: Project, *, without: Any) -> None:
    admins = project.memberships.filter(role=Role.ADMIN, user__is_active=True)
    if admins.filter(user=without).exists() and not admins.exclude(user=without).exists():
        raise Conflict("A project keeps at least one admin; name another one first.")


def create_token(*, user: Any, name: str, lifetime: timedelta | None = None) -> tuple[ApiToken, str]:
    """Make an API token; the second value is the token itself, which is never shown again.

    `lifetime` defaults to REST_KNOX["TOKEN_TTL"] (90 days).
    """
    expiry = lifetime or settings.REST_KNOX["TOKEN_TTL"]
    token, secret = ApiToken.objects.create(user=user, expiry=expiry, name=name)
    return token, secret


def usable_tokens() -> QuerySet[ApiToken]:
    """Return the API tokens that are good now: not expired by the database's clock, and of somebody who is active."""
    tokens: QuerySet[ApiToken] = ApiToken.objects.filter(Q(expiry=None) | Q(expiry__gt=Now()), user__is_active=True)
    return tokens


def revoke_token(*, token: ApiToken) -> None:
    """Revoke a token; from the next request on it is unknown."""
    token.delete()


def forget_old_answers(*, older_than: timedelta = timedelta(hours=24)) -> int:
    """Delete kept answers of Idempotency-Keys past their time; returns how many."""
    deleted, _ = IdempotentAnswer.objects.filter(created_at__lt=timezone.now() - older_than).delete()
    return deleted
