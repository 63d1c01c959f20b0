"""Checks what runners send, value by value; nothing reaches a service that does not fit its column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from runner.protocol import (
    LEVELS,
    MAX_BATCH_LINES,
    MAX_BATCH_POINTS,
    MAX_LINE_CHARACTERS,
    MAX_METRIC_KEY_CHARACTERS,
    STREAMS,
    ClaimRequest,
    ExitReport,
    HeartbeatRequest,
)
from trainhub.errors import InvalidInput, TooLarge

INT64_LIMIT = 2**63
MAX_TIME_MS = 253_402_300_799_000  # the year 9999, the last that a datetime can show
MAX_SEQUENCE = 2**53  # exact in every JSON reader
PHASES = ("preparing", "training", "stopping", "finishing")
PROBLEMS = (None, "resume_damaged", "command_not_found", "workspace_failed")
_SPECIAL_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _refuse(field: str, text: str) -> InvalidInput:
    return InvalidInput({field: [text]})


def whole(body: dict[str, Any], field: str, *, low: int, high: int) -> int:
    """Return an integer field within low to high. Raises: InvalidInput."""
    value = body.get(field)
    if type(value) is not int or not low <= value <= high:
        raise _refuse(field, f"Must be a whole number from {low} to {high}.")
    return value


def text(body: dict[str, Any], field: str, *, longest: int, shortest: int = 0) -> str:
    """Return a text field of bounded length. Raises: InvalidInput."""
    value = body.get(field)
    if not isinstance(value, str) or not shortest <= len(value) <= longest:
        raise _refuse(field, f"Must be a text of {shortest} to {longest} characters.")
    return value


def flag(body: dict[str, Any], field: str) -> bool:
    """Return a boolean field. Raises: InvalidInput."""
    value = body.get(field)
    if not isinstance(value, bool):
        raise _refuse(field, "Must be true or false.")
    return value


def optional_whole(body: dict[str, Any], field: str, *, low: int, high: int) -> int | None:
    """Return an integer field or None. Raises: InvalidInput."""
    return None if body.get(field) is None else whole(body, field, low=low, high=high)


def one_of(body: dict[str, Any], field: str, words: Sequence[Any]) -> Any:
    """Return a field whose value is one of `words`. Raises: InvalidInput."""
    value = body.get(field)
    if isinstance(value, list | dict) or value not in words:
        raise _refuse(field, f"Must be one of {', '.join(map(str, words))}.")
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
    progress = body.get("progress")
    if progress is not None and (isinstance(progress, bool | str | list | dict) or not 0 <= progress <= 1):
        raise _refuse("progress", "Must be a number from 0 to 1 or null.")
    return {
        "phase": one_of(body, "phase", PHASES),
        "progress": progress,
        "sent_at_ms": whole(body, "sent_at_ms", low=0, high=MAX_TIME_MS),
    }


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
        "ended_at_ms": whole(body, "ended_at_ms", low=0, high=MAX_TIME_MS),
    }


def read_sequence(body: dict[str, Any]) -> int:
    """Return the batch's number, from 1. Raises: InvalidInput."""
    return whole(body, "sequence", low=1, high=MAX_SEQUENCE)


def read_lines(body: dict[str, Any]) -> list[tuple[int, int, int, str]]:
    """Check the lines of a LogBatch. Raises: InvalidInput, TooLarge."""
    lines = body.get("lines")
    if not isinstance(lines, list):
        raise _refuse("lines", "Must be a list.")
    if len(lines) > MAX_BATCH_LINES:
        raise TooLarge(f"At most {MAX_BATCH_LINES} lines are taken in a call.", limit=MAX_BATCH_LINES)
    for number, line in enumerate(lines):
        if not _is_line(line):
            raise _refuse("lines", f"Line {number} is not [time in µs, level, stream, text].")
    return lines


def _is_line(line: Any) -> bool:
    if not isinstance(line, list) or len(line) != 4:
        return False
    time, level, stream, message = line
    return (
        type(time) is int
        and 0 <= time <= MAX_TIME_MS * 1000
        and type(level) is int
        and 0 <= level < len(LEVELS)
        and type(stream) is int
        and 0 <= stream < len(STREAMS)
        and isinstance(message, str)
        and len(message) <= 2 * MAX_LINE_CHARACTERS
        and "\x00" not in message
    )


def read_metrics(body: dict[str, Any]) -> dict[str, dict[str, list[Any]]]:
    """Check the columns of a MetricBatch; values come back as floats. Raises: InvalidInput, TooLarge."""
    metrics = body.get("metrics")
    if not isinstance(metrics, dict):
        raise _refuse("metrics", "Must be an object of columns.")
    total = 0
    checked = {}
    for key, columns in metrics.items():
        check_key(key)
        checked[key] = _read_columns(key, columns)
        total += len(checked[key]["step"])
        if total > MAX_BATCH_POINTS:
            raise TooLarge(f"At most {MAX_BATCH_POINTS} points are taken in a call.", limit=MAX_BATCH_POINTS)
    return checked


def check_key(key: str) -> None:
    """Raise InvalidInput for a metric name that is empty, too long or not printable."""
    if not 0 < len(key) <= MAX_METRIC_KEY_CHARACTERS or not key.isprintable():
        raise _refuse("metrics", f"Names must have 1 to {MAX_METRIC_KEY_CHARACTERS} printable characters.")


def _read_columns(key: str, columns: Any) -> dict[str, list[Any]]:
    if not isinstance(columns, dict) or set(columns) != {"step", "time", "value"}:
        raise _refuse("metrics", f"{key}: must hold the columns step, time and value.")
    step, time, value = columns["step"], columns["time"], columns["value"]
    if not all(isinstance(column, list) for column in (step, time, value)) or not len(step) == len(time) == len(value):
        raise _refuse("metrics", f"{key}: the three columns must be lists of one length.")
    if any(type(item) is not int or not -INT64_LIMIT <= item < INT64_LIMIT for item in step):
        raise _refuse("metrics", f"{key}: steps must be 64-bit whole numbers.")
    if any(type(item) is not int or not 0 <= item <= MAX_TIME_MS for item in time):
        raise _refuse("metrics", f"{key}: times must be ms since 1970.")
    return {"step": step, "time": time, "value": [_read_float(key, item) for item in value]}


def _read_float(key: str, value: Any) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    if isinstance(value, str) and value in _SPECIAL_FLOATS:
        return _SPECIAL_FLOATS[value]
    raise _refuse("metrics", f"{key}: values must be numbers or NaN, Infinity, -Infinity as text.")
