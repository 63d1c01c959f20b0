"""One action on several runs: what it will do to each, and doing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from projects.models import ProjectStatus, Role
from runs.archiving import archive_run, restore_run
from runs.lifecycle import Status
from runs.models import Run
from runs.services import cancel_run
from trainhub.errors import DomainError
from trainhub.templatetags.formatting import time_span


@dataclass(frozen=True)
class Prospect:
    """What an action will do to a run, or why it cannot be done."""

    run: Run
    is_possible: bool
    text: str


@dataclass(frozen=True)
class BulkAction:
    """An action on runs; `foresee` says whether it is possible now and what it will do, `carry_out` what it did."""

    title: str
    button: str
    explanation: str
    foresee: Callable[[Run], tuple[bool, str]]
    carry_out: Callable[[Run, Any], str]

    def prospect(self, run: Run, role: str | None) -> Prospect:
        """Return what would happen to `run`, for somebody with `role` in its project."""
        if role is None or not Role(role).includes(Role.EDITOR):
            return Prospect(run, is_possible=False, text=f"This needs the role editor; yours is {role or 'none'}.")
        return Prospect(run, *self.foresee(run))


@dataclass
class Outcome:
    """How an action went: how many runs for each word on what was done, and why others were refused."""

    done: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[Run, str]] = field(default_factory=list)


def act_on_each(*, action: BulkAction, runs: Iterable[Run], roles: Mapping[int, str] | None, by: Any) -> Outcome:
    """Do `action` to each run by itself: a refusal stops none of the others.

    `roles` are those of `by` by key of the project, None for an operator.
    """
    outcome = Outcome()
    for run in runs:
        prospect = action.prospect(run, role_in(roles, run))
        if not prospect.is_possible:
            outcome.refused.append((run, prospect.text))
            continue
        try:
            outcome.done[action.carry_out(run, by)] += 1
        except DomainError as error:  # it changed since we looked
            outcome.refused.append((run, error.detail))
    return outcome


def role_in(roles: Mapping[int, str] | None, run: Run) -> str | None:
    """Return the role in the project of `run`; operators are admin everywhere."""
    return Role.ADMIN if roles is None else roles.get(run.project_id)


# --- Cancel ---------------------------------------------------------------------------------------
def _foresee_cancel(run: Run) -> tuple[bool, str]:
    if run.is_terminal:
        return False, f"It is {run.status} already; there is nothing to cancel."
    if not run.is_managed:
        return True, "It ends here at once. It is executed elsewhere: trainhub cannot stop it there."
    if run.status == Status.CANCELLING:
        return False, "It is being cancelled already."
    if run.status == Status.QUEUED:
        return True, "It has not started: it ends at once, and there is nothing to save."
    return True, f"Its trainer is asked to save a checkpoint and stop, and has {time_span(run.grace_seconds)} for that."


def _cancel(run: Run, by: Any) -> str:
    if not cancel_run(run=run, by=by).is_terminal:
        return "asked to save a checkpoint and stop"
    return "cancelled" if run.is_managed else "ended here, and not stopped where it is executed"


# --- Archive --------------------------------------------------------------------------------------
PROJECT_IS_ARCHIVED = "Its project is archived; restore that first."


def _foresee_archive(run: Run) -> tuple[bool, str]:
    if run.project.status == ProjectStatus.ARCHIVED:
        return False, PROJECT_IS_ARCHIVED
    if run.archived_at is not None:
        return False, "It is archived already."
    if not run.is_terminal:
        return False, f"It is {run.status}; only a run that has ended can be archived."
    return True, "Lists leave it out; everything of it stays."


def _archive(run: Run, by: Any) -> str:
    archive_run(run=run, by=by)
    return "archived"


def _foresee_restore(run: Run) -> tuple[bool, str]:
    if run.project.status == ProjectStatus.ARCHIVED:
        return False, PROJECT_IS_ARCHIVED
    return (True, "Lists show it again.") if run.archived_at else (False, "It is not archived.")


def _restore(run: Run, by: Any) -> str:
    restore_run(run=run, by=by)
    return "restored"


CANCEL = BulkAction(
    "Cancel runs",
    "Cancel",
    "What a trainer does not save in its time is lost. The page of each run shows a receipt with what was kept.",
    _foresee_cancel,
    _cancel,
)
ARCHIVE = BulkAction(
    "Archive runs",
    "Archive",
    "Archived runs can be read, compared, repeated and resumed from; the filter “Archive” of a list shows them.",
    _foresee_archive,
    _archive,
)
RESTORE = BulkAction("Restore runs", "Restore", "They are back in the lists at once.", _foresee_restore, _restore)
