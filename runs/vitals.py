"""The numbers of a run at a glance: step, speed, loss, use of GPUs. Read from what is loaded with the run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from runs.lifecycle import Status
from runs.models import Attempt, Run, RunMetric
from runs.recipes import with_defaults
from runs.telemetry.timeline import SYSTEM_PREFIX

MAX_RATES = 2  # shown at once
_PER_SECOND = re.compile(r"([a-z]+)_per_s(?:ec|econd)?$")
_THROUGHPUT = re.compile(r"(?:^|_)throughput(?:_([a-z]+))?$")
_MIN_SECONDS = 2.0  # of training before a mean speed says anything


@dataclass(frozen=True)
class Rate:
    """A speed that the trainer reports itself, such as 12,000 tokens/s."""

    metric: RunMetric
    unit: str


@dataclass(frozen=True)
class Vitals:
    """What to see at a glance; None is not known.

    `steps_per_second` is the mean over the newest attempt, by the hub's clock; of an external run since its start, by
    its client's. `progress` is 0 to 1, `seconds_left` what an external run still needs at that speed. `use` is the
    newest share of a processor's time, 0 to 1, and `use_of` says whether of the GPUs or of the CPU.
    """

    step: int | None
    total_steps: int | None
    steps_per_second: float | None
    rates: list[Rate]
    use: float | None
    use_of: str
    progress: float | None = None
    seconds_left: float | None = None


def read_vitals(run: Run, metrics: Iterable[RunMetric], attempt: Attempt | None) -> Vitals:
    """Return the vitals from the newest metrics of a run and its newest attempt (`resume_from` loaded). No query."""
    known = {metric.key: metric for metric in metrics}
    trained = [metric for key, metric in known.items() if not key.startswith(SYSTEM_PREFIX)]
    newest = max(trained, key=lambda metric: (metric.attempt_number, metric.step), default=None)
    use_of = next((name for name in ("gpu_utilization", "system/cpu_utilization") if name in known), "")
    speed = _mean_speed(newest, attempt) if run.is_managed else _client_speed(run, newest)
    step, total = newest.step if newest else None, total_steps(run)
    return Vitals(
        step=step,
        total_steps=total,
        progress=_progress(run, step, total),
        seconds_left=_seconds_left(run, step, total, speed),
        steps_per_second=speed,
        rates=list(find_rates(trained))[:MAX_RATES],
        use=known[use_of].value if use_of else None,
        use_of="GPU" if use_of == "gpu_utilization" else "CPU",
    )


def total_steps(run: Run) -> int | None:
    """Return the steps that the run's settings ask for, steps before a resumption included; None without a number.

    Of an external run those that its client logged, where they came with it (`with_page_details`).
    """
    if not run.is_managed:
        logged = getattr(run, "logged_steps", None)
        return int(logged) if logged is not None and 0 < logged < 10**15 else None
    for group in ("model_parameters", "hyperparameters"):
        steps = with_defaults(run.recipe_snapshot.get(group, {}), getattr(run, group)).get("max_steps")
        if isinstance(steps, int | float) and not isinstance(steps, bool) and 0 < steps < 10**15:
            return int(steps)
    return None


def _progress(run: Run, step: int | None, total: int | None) -> float | None:
    """Return the share that is done; of an external run that goes on only where its steps are known."""
    if run.is_managed or run.status == Status.COMPLETED:
        return run.progress
    return None if step is None or not total else min(max(step / total, 0.0), 1.0)


def _seconds_left(run: Run, step: int | None, total: int | None, speed: float | None) -> float | None:
    """Return what an external run that goes on still needs; of a managed one `runs.progress` knows better."""
    if run.is_managed or run.status != Status.RUNNING or step is None or not total or not speed:
        return None
    return max(0.0, (total - step) / speed)


def find_rates(metrics: Iterable[RunMetric]) -> Iterable[Rate]:
    """Yield the metrics that are speeds by their name: tokens_per_second, train/samples_per_sec, throughput…"""
    for metric in sorted(metrics, key=lambda metric: ("token" not in metric.key, metric.key)):
        name = metric.key.rpartition("/")[2].lower()
        named = _PER_SECOND.search(name)
        if named and not named[1].startswith("step"):
            yield Rate(metric, f"{named[1]}/s")
        elif not named and (throughput := _THROUGHPUT.search(name)):
            yield Rate(metric, throughput[1] or name)


def _mean_speed(newest: RunMetric | None, attempt: Attempt | None) -> float | None:
    """Return steps per second since the attempt started to train, up to its last sign of life."""
    if newest is None or attempt is None or attempt.started_at is None or newest.attempt_number != attempt.number:
        return None
    last_heard: datetime = attempt.ended_at or attempt.heartbeat_at or timezone.now()
    seconds = (last_heard - attempt.started_at).total_seconds()
    steps = newest.step - (attempt.resume_from.step or 0 if attempt.resume_from else 0)
    return steps / seconds if seconds >= _MIN_SECONDS and steps > 0 else None


def _client_speed(run: Run, newest: RunMetric | None) -> float | None:
    """Return steps per second of an external run from its start to its newest point, both by its client's clock."""
    if newest is None or run.started_at is None:
        return None
    seconds = newest.time / 1000 - run.started_at.timestamp()
    return newest.step / seconds if seconds >= _MIN_SECONDS and newest.step > 0 else None
