"""Archiving runs: an archived run is left out of lists until somebody asks for it; everything of it stays."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from projects.models import Project, ProjectStatus
from runs.deletion import lock_kept
from runs.lifecycle import allowed_next
from runs.models import Run
from trainhub.errors import Conflict, IllegalTransition


@transaction.atomic
def archive_run(*, run: Run, by: Any, actor: str = "") -> Run:
    """Put a run that has ended into the archive; one that is there already stays as it is.

    `actor` is how the timeline names who did it, the user name of `by` unless given: whoever launched a job may be
    gone, and `by` None. Returns the run as it is now.

    Raises: NotFound when it was deleted meanwhile, IllegalTransition (with `status` and `allowed`) while it has not
    ended, Conflict in an archived project. Nothing changes then.
    """
    locked = _lock_changeable(run)
    if not locked.is_terminal:
        raise IllegalTransition(
            f"The run is {locked.status}; only a run that has ended can be archived.",
            status=locked.status,
            allowed=allowed_next(locked.status, is_managed=locked.is_managed),
        )
    return locked if locked.archived_at else _move(locked, "archived", timezone.now(), by, actor)


@transaction.atomic
def restore_run(*, run: Run, by: Any, actor: str = "") -> Run:
    """Take a run out of the archive; `by` and `actor` as for `archive_run`. Returns it as it is now.

    Raises: NotFound when it was deleted meanwhile, Conflict when it is not archived or its project is.
    """
    locked = _lock_changeable(run)
    if locked.archived_at is None:
        raise Conflict("The run is not archived.", status=locked.status)
    return _move(locked, "restored", None, by, actor)


def _lock_changeable(run: Run) -> Run:
    project = Project.objects.select_for_update().get(pk=run.project_id)
    locked = lock_kept(run.pk)
    if project.status == ProjectStatus.ARCHIVED:
        raise Conflict("The project is archived; restore it first.", status=project.status)
    return locked


def _move(run: Run, kind: str, archived_at: datetime | None, by: Any, actor: str) -> Run:
    now = timezone.now()
    run.archived_at, run.updated_at = archived_at, now
    run.save(update_fields=["archived_at", "updated_at"])
    run.events.create(at=now, kind=kind, actor=actor or by.get_username(), user=by)
    return run
