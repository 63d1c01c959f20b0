"""The receipt of a cancel: what was asked, what was done, and which checkpoint was kept."""

from __future__ import annotations

from typing import Any

from runs.lifecycle import Reason, Status
from runs.models import Run
from trainhub.api.renderers import api_time


def cancel_receipt(run: Run) -> dict[str, Any] | None:
    """Return the receipt, or None for a run that nobody asked to cancel.

    `checkpoint` is the newest whole one; `is_final` tells whether the hub recorded it after the request;
    one that was on its way at that moment counts too. `note` says in a sentence why there is none, or none after it.
    """
    asked = run.events.filter(kind__in=[Status.CANCELLING, Status.CANCELLED]).order_by("id").first()
    if asked is None or (asked.kind == Status.CANCELLED and asked.reason != Reason.CANCELLED):
        return None
    signalled = run.events.filter(kind="signalled", id__gt=asked.pk).order_by("id").first()
    newest = run.artifacts.filter(type="checkpoint", state="verified").order_by("-created_at", "-id").first()
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
    if is_final:
        return ""
    if run.status == Status.CANCELLING:
        return "The trainer is still saving."
    if run.started_at is None:
        return "The run was cancelled before its trainer started."
    if newest is None:
        return "The trainer ended without writing a checkpoint."
    return "No checkpoint was recorded after the request; this is the newest one."
