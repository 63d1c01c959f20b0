"""Checks what runners send, value by value; nothing reaches a service that does not fit its column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.protocol import ClaimRequest, ExitReport, HeartbeatRequest
from trainhub.errors import InvalidInput

INT64_LIMIT = 2**63
MAX_TIME_MS = 253_402_300_799_000  # the year 9999, the last that a datetime can show
PHASES = ("preparing", "training", "stopping", "finishing")
PROBLEMS = (None, "resume_damaged", "command_not_found", "workspace_failed")


def refuse(field: str, text: str) -> InvalidInput:
    """Return the error that names what is wrong with a field."""
    return InvalidInput({field: [text]})


def whole(body: dict[str, Any], field: str, *, low: int, high: int) -> int:
    """Return an integer field within low to high. Raises: InvalidInput."""
    value = body.get(field)
    if type(value) is not int or not low <= value <= high:
        raise refuse(field, f"Must be a whole number from {low} to {high}.")
    return value


def text(body: dict[str, Any], field: str, *, longest: int, shortest: int = 0) -> str:
    """Return a text field of bounded length. Raises: InvalidInput."""
    value = body.get(field)
    if not isinstance(value, str) or not shortest <= len(value) <= longest:
        raise refuse(field, f"Must be a text of {shortest} to {longest} characters.")
    return value


def flag(body: dict[str, Any], field: str) -> bool:
    """Return a boolean field. Raises: InvalidInput."""
    value = body.get(field)
    if not isinstance(value, bool):
        raise refuse(field, "Must be true or false.")
    return value


def optional_whole(body: dict[str, Any], field: str, *, low: int, high: int) -> int | None:
    """Return an integer field or None. Raises: InvalidInput."""
    return None if body.get(field) is None else whole(body, field, low=low, high=high)


def one_of(body: dict[str, Any], field: str, words: Sequence[Any]) -> Any:
    """Return a field whose value is one of `words`. Raises: InvalidInput."""
    value = body.get(field)
    if isinstance(value, list | dict) or value not in words:
        raise refuse(field, f"Must be one of {', '.join(map(str, words))}.")
    return value


def read_claim(body: dict[str, Any]) -> ClaimRequest:
    """Check a ClaimRequest. Raises: InvalidInput."""
    return {
        "instance": text(body, "instance", longest=64, shortest=8),
        "host": text(body, "host", longest=255),
        "pid": whole(body, "pid", low=1, high=INT64_LIMIT - 1),
        "boot_id": text(body, "boot_id", longest=64),
    }


def read_heartbeat(body: dict[str, Any]) -> HeartbeatRequest:
    """Check a HeartbeatRequest. Raises: InvalidInput."""
    return {
        "phase": one_of(body, "phase", PHASES),
        "progress": _progress(body),
        "sent_at_ms": whole(body, "sent_at_ms", low=0, high=MAX_TIME_MS),
    }


def _progress(body: dict[str, Any]) -> float | None:
    progress: float | None = body.get("progress")
    if progress is not None and (isinstance(progress, bool | str | list | dict) or not 0 <= progress <= 1):
        raise refuse("progress", "Must be a number from 0 to 1 or null.")
    return progress


def read_exit(body: dict[str, Any]) -> ExitReport:
    """Check an ExitReport. Raises: InvalidInput."""
    return {
        "exit_code": optional_whole(body, "exit_code", low=-(2**31), high=2**31 - 1),
        "signal": optional_whole(body, "signal", low=0, high=255),
        "was_stopped": flag(body, "was_stopped"),
        "was_killed": flag(body, "was_killed"),
        "out_of_memory": flag(body, "out_of_memory"),
        "runner_died": flag(body, "runner_died"),
        "problem": one_of(body, "problem", PROBLEMS),
        "message": text(body, "message", longest=1000),
        "progress": _progress(body),
        "ended_at_ms": whole(body, "ended_at_ms", low=0, high=MAX_TIME_MS),
    }
