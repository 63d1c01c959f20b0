"""Long logs and long series, through the product's own appending and folding."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from benchmarks.bodies import key_name, line_tail, line_text
from benchmarks.fill.database import hurry, settle, used_bytes
from benchmarks.fill.rows import end_run, live_attempt, new_run, path_of, project
from runs.lifecycle import Status
from runs.models import Attempt, TelemetryCounter
from runs.telemetry.append import append_lines, append_metrics
from runs.telemetry.fold import fold_run
from runs.telemetry.log_chunks import Lines

_AT_ONCE = 10_000  # lines or points of a batch, the most that a call may bring
_FOLD_EVERY = 10  # batches: as much as one step of folding takes
_TAILS = 4096  # endings of lines; a chunk of 1,000 lines never holds one twice
_LINES, _POINTS = ("runs_logchunk",), ("runs_metricchunk", "runs_metricsection")  # the tables that hold them
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)  # so that lists begin with other runs
_LEAST_LOSS = 6.0  # above that of the many runs, so that ordered lists begin with those
FIRST_TIME_US = 1_764_000_000_000_000
LINE_STEP_US = 1000
POINT_STEP_MS = 100


def _begin(name: str) -> Attempt:
    hurry()
    moments = dict.fromkeys(["created_at", "queued_at", "started_at"], _LONG_AGO)
    run = new_run(project("long runs"), name, status=Status.RUNNING, **moments)
    run.save(force_insert=True)
    TelemetryCounter.objects.create(run=run)
    attempt = live_attempt(run)
    attempt.save(force_insert=True)
    return attempt


def _batches(count: int) -> Iterator[tuple[int, Sequence[int]]]:
    """Yield sequence numbers and indexes of the lines or points of each batch."""
    for sequence, start in enumerate(range(0, count, _AT_ONCE), start=1):
        yield sequence, range(start, min(start + _AT_ONCE, count))


def make_lines(*, count: int) -> dict[str, Any]:
    """Make a run with so many lines, a millisecond apart; `bytes` is what they take on disk, indexes included."""
    attempt, rng = _begin(f"{count} lines"), random.Random(3)
    tails = [line_tail(rng) for _ in range(_TAILS)]
    settle()
    before = used_bytes(_LINES)
    for sequence, indexes in _batches(count):
        lines = Lines(
            [FIRST_TIME_US + index * LINE_STEP_US for index in indexes],
            [_level(index) for index in indexes],
            [0] * len(indexes),
            [line_text(f"{index:010d}", tails[index % _TAILS]) for index in indexes],
        )
        append_lines(attempt=attempt, sequence=sequence, lines=lines)
    end_run(attempt.run)
    settle()
    size = used_bytes(_LINES) - before
    return {
        "run": path_of(attempt.run),
        "count": count,
        "bytes": size,
        "first_time_us": FIRST_TIME_US,
        "line_step_us": LINE_STEP_US,
    }


def _level(index: int) -> int:
    return 1 if index % 50 else 2


def make_points(*, count: int) -> dict[str, Any]:
    """Make a run with so many points of `loss`, folded; steps count from 0. `bytes` as of `make_lines`."""
    attempt, rng = _begin(f"{count} points"), random.Random(5)
    settle()
    before = used_bytes(_POINTS)
    first_ms = FIRST_TIME_US // 1000
    for sequence, steps in _batches(count):
        columns = {
            "step": steps,
            "time": [first_ms + step * POINT_STEP_MS for step in steps],
            "value": [_LEAST_LOSS + 4 * math.exp(-3 * step / count) + rng.gauss(0.0, 0.05) for step in steps],
        }
        append_metrics(attempt=attempt, sequence=sequence, columns={"loss": columns})
        if sequence % _FOLD_EVERY == 0:
            fold_run(run_id=attempt.run_id)
    fold_run(run_id=attempt.run_id, everything=True)
    end_run(attempt.run)
    settle()
    size = used_bytes(_POINTS) - before
    return {"run": path_of(attempt.run), "count": count, "bytes": size}


def make_metrics(*, metrics: int, count: int) -> dict[str, Any]:
    """Make a run with so many metrics of so many points each, folded: a loss, its validation, and others in groups."""
    attempt, rng = _begin(f"{metrics} metrics"), random.Random(7)
    keys = ["loss", "val_loss", *(f"{group_name(index)}/{key_name(index)}" for index in range(metrics - 2))]
    noise = [rng.gauss(0.0, 0.05) for _ in range(_TAILS)]
    first_ms, at_once = FIRST_TIME_US // 1000, max(1, _AT_ONCE // metrics)
    for sequence, start in enumerate(range(0, count, at_once), start=1):
        steps = list(range(start, min(start + at_once, count)))
        times = [first_ms + step * POINT_STEP_MS for step in steps]
        trend = [_LEAST_LOSS + 4 * math.exp(-3 * step / count) for step in steps]
        columns = {
            key: {
                "step": steps,
                "time": times,
                "value": [
                    value + noise[(step * (place + 1)) % _TAILS] for step, value in zip(steps, trend, strict=True)
                ],
            }
            for place, key in enumerate(keys)
        }
        append_metrics(attempt=attempt, sequence=sequence, columns=columns)
        if sequence % (_FOLD_EVERY * 10) == 0:
            fold_run(run_id=attempt.run_id)
    fold_run(run_id=attempt.run_id, everything=True)
    end_run(attempt.run)
    settle()
    return {"run": path_of(attempt.run), "metrics": metrics, "count": count}


def group_name(index: int) -> str:
    """Return the group of a metric, before the slash of its name; ten metrics share one."""
    return f"layer_{index // 10:02d}"
