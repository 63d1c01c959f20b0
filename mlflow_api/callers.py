"""Who calls: a person by an API token, or a trainer by its run's token; and what they may reach.

Tokens come as `Authorization: Bearer <token>`, or as the password of Basic authentication with any user name.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from django.contrib.auth import get_user_model
from django.db.models import Model, Q
from django.http import HttpRequest

from mlflow_api.errors import MlflowError, missing
from mlflow_api.lookups import OPEN, SEEN, Identity, identify
from projects.models import Project, Role
from projects.querysets import ProjectQuerySet
from runs.models import Attempt, Run
from runs.querysets import RunQuerySet

Row = TypeVar("Row", bound=Model)
_SHOWN = (
    *("uid", "name", "is_managed", "status", "archived_at", "created_at", "started_at", "completed_at"),
    *("project__uid", "project__status"),
    *("tracking__client_status", "tracking__start_time", "tracking__end_time", "tracking__user_id"),
)
_TOKEN = re.compile(r"[\x21-\x7e]{1,512}")


class Target(NamedTuple):
    """Where points go: the key of a run, and the number of the attempt that they are stored under."""

    run_id: int
    attempt_number: int


class Caller:
    """Who calls: a person, or the trainer of an attempt, whose token reaches its run and what that made.

    Only keys are known at first; the rows are loaded when somebody looks at them.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    @cached_property
    def attempt(self) -> Attempt | None:
        """The attempt whose token this is, with run, project and who launched it; None for a person."""
        if self._identity.sender is None:
            return None
        rows = Attempt.objects.select_related("run__project", "run__created_by")
        return _still_there(rows.filter(pk=self._identity.sender.pk).first())

    @property
    def job(self) -> Run | None:
        """The managed run whose token this is."""
        return self.attempt.run if self.attempt else None

    @cached_property
    def user(self) -> Any:
        """The person, or whoever launched the run whose token this is: None when that person is gone."""
        if self.attempt is not None:
            return self.attempt.run.created_by
        return _still_there(get_user_model().objects.filter(pk=self._identity.user_id).first())

    @property
    def name(self) -> str:
        """How the timeline names the caller."""
        return "trainer" if self.attempt else self.user.get_username()

    def projects(self) -> ProjectQuerySet:
        """Return the projects that the caller may see."""
        if self.job is not None:
            return Project.objects.filter(pk=self.job.project_id)
        return Project.objects.visible_to(self.user)

    def runs(self) -> RunQuerySet:
        """Return the runs that the caller may see."""
        if self.job is not None:
            return Run.objects.not_deleted().filter(Q(pk=self.job.pk) | Q(tracking__job=self.job))
        return Run.objects.visible_to(self.user)

    def project(self, uid: str, *, role: Role = Role.VIEWER) -> Project:
        """Return a project in which the caller has at least `role`. Raises: MlflowError (404, 403)."""
        found = self.projects().filter(uid=uid).first()
        if found is None:
            raise missing(f"No Experiment with id={uid} exists")
        self.require(found, role)
        return found

    def require(self, project: Project, role: Role) -> None:
        """Raise PERMISSION_DENIED (403) for a person with less than `role` in a project; a run's token is an editor."""
        if role != Role.VIEWER and not self.may(project, role):
            raise denied(role)

    def may(self, project: Project, role: Role) -> bool:
        """Tell whether the caller has at least `role` in a project that it sees. One query at most."""
        held = Role.EDITOR if self.job is not None else project.role_of(self.user)
        return held is not None and held.includes(role)

    def run(self, uid: str, *, role: Role = Role.VIEWER) -> Run:
        """Return a run, with project and tracked fields, in whose project the caller has at least `role`.

        Raises: MlflowError (404, 403).
        """
        rows = self.runs().select_related("project", "tracking").defer("recipe_snapshot")
        if self.job is None and role != Role.VIEWER:
            rows = rows.with_viewer_role(self.user)
        found = rows.filter(uid=uid).first()
        if found is None:
            raise missing(f"Run with id={uid} not found")
        if role != Role.VIEWER and self.job is None and not self.user.is_staff:
            held = found.viewer_role
            if not held or not Role(held).includes(role):
                raise denied(role)
        return found

    def shown_run(self, uid: str) -> Run:
        """Return a run that the caller may see with what `objects.run_info` shows of it and no more, quickly.

        Raises: MlflowError (404).
        """
        found = SEEN.first(self._identity, uid)
        rows = Run.objects.select_related("project", "tracking").only(*_SHOWN)
        run = rows.filter(pk=found[0]).first() if found else None
        if run is None:
            raise missing(f"Run with id={uid} not found")
        return run

    def target(self, uid: str) -> Target | None:
        """Return where points of a run go, in one quick query, when nothing at all speaks against it.

        None in every other case, and for a managed run of which another token than its own writes: then `run` and
        `attempt_number` tell what is so.
        """
        found = OPEN.first(self._identity, uid)
        if found is None:
            return None
        run_id, is_managed = found
        if self._identity.sender is not None and self._identity.sender.run_id == run_id:
            return Target(run_id, self._identity.sender.number)
        return None if is_managed else Target(run_id, 1)

    def open_run(self, uid: str) -> Run:
        """Return a run that the caller may write to, quickly where nothing at all speaks against it.

        Raises: MlflowError (404, 403).
        """
        return self.run(uid, role=Role.EDITOR) if self.target(uid) is None else self.shown_run(uid)

    def attempt_number(self, run: Run) -> int:
        """Return the number under which points of `run` are stored: of the attempt that sends, else of the newest."""
        if self.attempt is not None and self.attempt.run_id == run.pk:
            return self.attempt.number
        if not run.is_managed:
            return 1
        return run.attempts.order_by("-number").values_list("number", flat=True).first() or 1


def denied(role: Role) -> MlflowError:
    """Return the error for somebody who may see a project and not do this in it."""
    return MlflowError("PERMISSION_DENIED", f"This takes the role {role} in the project.")


def caller_of(request: HttpRequest) -> Caller:
    """Return who calls. Raises: MlflowError UNAUTHENTICATED (401), the same for every token that is no good."""
    token = _token_of(request.META.get("HTTP_AUTHORIZATION", ""))
    if not token:
        raise MlflowError("UNAUTHENTICATED", "An API token is needed: set MLFLOW_TRACKING_TOKEN.")
    identity = identify(token)
    if identity is None:
        raise _unknown_token()
    return Caller(identity)


def _unknown_token() -> MlflowError:
    return MlflowError("UNAUTHENTICATED", "The token is not known, has expired or was revoked.")


def _still_there(row: Row | None) -> Row:
    """Return a row whose key a token just gave; it may have gone meanwhile, and the token with it."""
    if row is None:
        raise _unknown_token()
    return row


def _token_of(header: str) -> str:
    scheme, _, rest = header.partition(" ")
    token = rest.strip()
    if scheme.lower() == "basic":
        try:
            token = base64.b64decode(token, validate=True).partition(b":")[2].decode("ascii")
        except (binascii.Error, ValueError):
            return ""
    elif scheme.lower() != "bearer":
        return ""
    return token if _TOKEN.fullmatch(token) else ""
