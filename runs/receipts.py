"""What a cancel would leave, and its receipt: what was asked, what was done, and which checkpoint was kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet

from runs.lifecycle import Reason, Status
from runs.models import Run
from trainhub.api.renderers import api_time

if TYPE_CHECKING:
    from artifacts.models import Artifact


def good_checkpoints(run: Run) -> QuerySet[Artifact]:
    """Return the whole checkpoints of a run that were compared with their hashes, newest first."""
    return run.artifacts.filter(type="checkpoint", state="verified").order_by("-created_at", "-id")


def kept_checkpoints(run: Run) -> QuerySet[Artifact]:
    """Return the whole checkpoints of a run, newest first, also large ones that are still being compared."""
    return run.artifacts.filter(type="checkpoint", state__in=["complete", "verified"]).order_by("-created_at", "-id")


@dataclass(frozen=True)
class Forecast:
    """What a cancel would leave when the trainer saved nothing more.

    `step` is where the run is, `steps_at_risk` how many steps lie behind the newest checkpoint, or behind the start of
    the run without one; None where it is not known.
    """

    checkpoint: Artifact | None
    step: int | None
    steps_at_risk: int | None


def forecast_cancel(run: Run, step: int | None) -> Forecast:
    """Return what is kept in any case when `run`, now at `step`, is cancelled. One query."""
    newest = good_checkpoints(run).defer("manifest").first()
    saved = 0 if newest is None else newest.step
    at_risk = None if step is None or saved is None else max(0, step - saved)
    return Forecast(newest, step, at_risk)


def cancel_receipt(run: Run) -> dict[str, Any] | None:
    """Return the receipt, or None for a run that nobody asked to cancel.

    `checkpoint` is the newest whole one; `is_final` tells whether the hub recorded it after the request;
    one that was on its way at that moment counts too. `note` says in a sentence why there is none, or none after it.
    """
    if run.cancel_requested_at is None and run.status != Status.CANCELLED:
        return None
    asks = run.events.filter(kind__in=[Status.CANCELLING, Status.CANCELLED]).order_by("id")
    asked = asks.first() if run.is_managed else asks.last()  # an external run may go on afterwards, and end again
    if asked is None or (asked.kind == Status.CANCELLED and asked.reason != Reason.CANCELLED):
        return None
    signalled = run.events.filter(kind="signalled", id__gt=asked.pk).order_by("id").first()
    newest = kept_checkpoints(run).first()
    is_final = newest is not None and newest.created_at >= asked.at
    return {
        "requested_at": api_time(asked.at),
        "requested_by": asked.actor,
        "signalled_at": api_time(signalled.at) if signalled else None,
        "checkpoint": _brief(newest, is_final=is_final),
        "note": _note(run, newest, is_final=is_final),
        "stopped_at": api_time(run.completed_at),
    }


def _brief(checkpoint: Any, *, is_final: bool) -> dict[str, Any] | None:
    if checkpoint is None:
        return None
    return {
        "id": checkpoint.uid,
        "name": checkpoint.name,
        "step": checkpoint.step,
        "size_bytes": checkpoint.size_bytes,
        "sha256": checkpoint.digest,
        "state": checkpoint.state,
        "is_final": is_final,
    }


def _note(run: Run, newest: Any, *, is_final: bool) -> str:
    if not run.is_managed:
        return "Nothing was stopped: the run is executed elsewhere, out of reach. It ended here alone."
    if is_final:
        return ""
    if run.status == Status.CANCELLING:
        return "The trainer is still saving."
    if run.started_at is None:
        return "The run was cancelled before its trainer started."
    if newest is None:
        return "The trainer ended without writing a checkpoint."
    return "No checkpoint was recorded after the request; this is the newest one."
