"""Queries that come with every call, compiled once: who a token is of, and which run an id is of; keys alone."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet
from knox.crypto import hash_token

from projects.models import Membership, ProjectStatus, Role
from projects.services import usable_tokens
from runs.attempts import token_digest
from runs.models import Attempt, Run
from runs.querysets import RunQuerySet
from runs.telemetry.append import KnownSender
from runs.telemetry.prepared import PreparedSelect


class Identity(NamedTuple):
    """Who a token is of: a person, who may be an operator, or an attempt that goes on."""

    user_id: int = 0
    is_operator: bool = False
    sender: KnownSender | None = None


def identify(token: str) -> Identity | None:
    """Return who a token is of, None when it is not known, has expired or was revoked."""
    if person := _PERSON.first(digest=hash_token(token)):
        return Identity(user_id=person[0], is_operator=bool(person[1]))
    if sender := _SENDER.first(digest=token_digest(token)):
        return Identity(sender=KnownSender(*sender))
    return None


_PERSON = PreparedSelect(
    "digest",
    texts=["digest"],
    build=lambda digest: usable_tokens().filter(digest=digest).values_list("user_id", "user__is_staff"),
)
_SENDER = PreparedSelect(
    "digest",
    texts=["digest"],
    build=lambda digest: Attempt.objects.filter(
        tracking_digest=digest, ended_at=None, run__deleted_at=None
    ).values_list("pk", "run_id", "number"),
)


class FoundRun:
    """Looks for a run by its id among `runs` that somebody has at least `role` for. `columns` are keys and flags."""

    def __init__(self, runs: RunQuerySet, *columns: str, role: Role) -> None:
        self._runs, self._columns = runs.order_by(), columns
        self._roles = [one for one in Role if one.includes(role)]
        self._of_job = PreparedSelect("uid", "job", texts=["uid"], build=self._build_of_job)
        self._of_operator = PreparedSelect("uid", texts=["uid"], build=self._build)
        self._of_member = PreparedSelect("uid", "user", texts=["uid"], build=self._build_of_member)

    def first(self, who: Identity, uid: str) -> tuple[Any, ...] | None:
        """Return the columns of the run; None when there is none, or none for them."""
        if who.sender is not None:
            return self._of_job.first(uid=uid, job=who.sender.run_id)
        if who.is_operator:
            return self._of_operator.first(uid=uid)
        return self._of_member.first(uid=uid, user=who.user_id)

    def _build(self, uid: str) -> QuerySet[Run, Any]:
        return self._runs.filter(uid=uid).values_list(*self._columns)

    def _build_of_job(self, uid: str, job: int) -> QuerySet[Run, Any]:
        return self._build(uid).filter(Q(pk=job) | Q(tracking__job=job))

    def _build_of_member(self, uid: str, user: int) -> QuerySet[Run, Any]:
        member = Membership.objects.filter(project=OuterRef("project"), user_id=user, role__in=self._roles)
        return self._build(uid).filter(Exists(member))


SEEN = FoundRun(Run.objects.not_deleted(), "pk", role=Role.VIEWER)
# Those that are archived, or whose project is, are deleted to clients.
OPEN = FoundRun(
    Run.objects.not_deleted().not_archived().exclude(project__status=ProjectStatus.ARCHIVED),
    *("pk", "is_managed"),
    role=Role.EDITOR,
)
