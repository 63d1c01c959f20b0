"""Checks of what does the work: schedulers, executors, recipes, nodes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.utils import timezone

from runs.attempts import is_unreachable
from runs.executor_use import read_executor_use
from runs.models import Attempt, RunMetric
from runs.newest_values import MEAN
from runs.registry import configuration_problems, look_for_recipes
from runs.scheduler.beat import beating, last_beat
from trainhub import __version__
from trainhub.doctor.findings import Finding, problem, warning, well
from trainhub.templatetags.formatting import time_span

SLOW_PASS_SECONDS = 5.0
SKEW_SECONDS = 5.0
SAMPLED_AFTER = timedelta(minutes=2)


def schedulers() -> Iterator[Finding]:
    """Whether one is at work, whether it keeps up, and whether several get in each other's way."""
    now = timezone.now()
    found, last = beating(now), last_beat()
    if not found:
        since = f"; the last one was seen {time_span((now - last.seen_at).total_seconds())} ago" if last else ""
        yield problem("scheduler", f"None is at work{since}: no run starts.", "Start manage.py scheduler, or make up.")
        return
    places = ", ".join(f"{beat.host} ({beat.pid})" for beat in found)
    slowest = max(beat.pass_seconds for beat in found)
    if slowest > SLOW_PASS_SECONDS:
        seen = f"A pass took {slowest:.1f} s on {places}."
        yield warning("scheduler", seen, "See whether the database or an executor answers slowly.")
    elif any(beat.version != __version__ for beat in found):
        yield warning("scheduler", f"Not of version {__version__}: {places}.", "Restart the scheduler.")
    elif len({beat.host for beat in found}) > 1:
        seen = f"At work on several machines: {places}."
        yield warning("scheduler", seen, "Keep one, where the local runs are; a second would take those for dead.")
    else:
        yield well("scheduler", f"{places}, a pass takes {slowest:.2f} s at most")


def executors_file() -> Iterator[Finding]:
    """What is wrong in the file of the executors."""
    for text in configuration_problems():
        yield problem("executors' file", text, "Correct it; the change counts at once.")


def executor_problems() -> Iterator[Finding]:
    """What each executor says of itself, but for what its declaration lacks."""
    of_file = configuration_problems()
    for use in read_executor_use():
        about = f"executor {use.name}"
        for text in use.problems:
            if text in of_file:
                continue
            yield problem(about, text, "See docs/executors.md; runs wait meanwhile.")
        if not use.problems:
            slots, gpus = f"{use.slots_in_use} of {use.total.slots}", f"{use.gpus_in_use} of {use.total.gpus}"
            yield well(about, f"{slots} slots and {gpus} GPUs in use")


def recipe_folders() -> Iterator[Finding]:
    """Which recipes cannot be used, and whether there is the one that is used when none is named."""
    usable, broken = look_for_recipes()
    for folder, text in sorted(broken.items()):
        yield warning("recipes", f"{folder}: {text}", "Correct its recipe.toml; the change counts at once.")
    not_set_up = sorted(name for name, recipe in usable.items() if not recipe.is_set_up)
    if settings.DEFAULT_RECIPE not in usable:
        seen = f"There is no recipe {settings.DEFAULT_RECIPE}, the one of runs that name none."
        yield problem("recipes", seen, f"Set TRAINHUB_DEFAULT_RECIPE to one of {', '.join(sorted(usable)) or 'yours'}.")
    elif not broken:
        later = f"; not set up yet: {', '.join(not_set_up)}" if not_set_up else ""
        yield well("recipes", f"{len(usable)} can be used{later}")


def silent_nodes() -> Iterator[Finding]:
    """Attempts whose runners were not heard for too long."""
    live = Attempt.objects.filter(ended_at=None, run__deleted_at=None).only("uid", "host", "heartbeat_at", "ended_at")
    silent = [attempt for attempt in live if is_unreachable(attempt)]
    if silent:
        hosts = ", ".join(sorted({attempt.host or attempt.uid for attempt in silent}))
        remedy = (
            "See whether the nodes are up and reach TRAINHUB_NODE_URL; nothing is given up before TRAINHUB_LOST_AFTER."
        )
        yield warning("nodes", f"{len(silent)} attempts are silent: {hosts}.", remedy)
    else:
        yield well("nodes", f"{len(live)} live attempts, all heard")


def node_clocks() -> Iterator[Finding]:
    """Nodes whose clocks are off; the times of their log lines and points are, too."""
    skewed = Attempt.objects.filter(ended_at=None, run__deleted_at=None, clock_skew_seconds__isnull=False)
    worst: dict[str, float] = {}
    for host, skew in skewed.values_list("host", "clock_skew_seconds"):
        if skew is not None and abs(skew) > max(SKEW_SECONDS, abs(worst.get(host, 0.0))):
            worst[host] = skew
    for host, skew in sorted(worst.items()):
        yield warning("nodes' clocks", f"The clock of {host} is {skew:+.0f} s off.", "Let NTP set it.")


def gpu_samples() -> Iterator[Finding]:
    """Live attempts that were given GPUs of which no use is measured."""
    sampled = RunMetric.objects.filter(run=OuterRef("run"), key=MEAN)
    blind = (
        Attempt.objects.filter(ended_at=None, run__deleted_at=None, gpu_count__gt=0)
        .filter(started_at__lt=timezone.now() - SAMPLED_AFTER)
        .exclude(Exists(sampled))
    )
    hosts = sorted(set(blind.values_list("host", flat=True)))
    if hosts:
        seen = f"No GPU use arrives from {', '.join(hosts)}."
        yield warning("GPU use", seen, "Make nvidia-smi available on those machines.")
