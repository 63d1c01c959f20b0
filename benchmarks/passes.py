"""What `benchmarks.scheduler` has done inside of an installation: a queue, passes over it, starts. Prints JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

KINDS = ("local", "cluster")  # a machine whose slots are taken, and an engine with a queue of its own
RUNS_AT_ONCE = 500


class Engine:
    """An executor in memory that takes jobs and says that all of them run; counts how often it is asked.

    What it was given is appended to `jobs`, a line each, which several processes may do at once.
    """

    def __init__(self, name: str, *, slots: int, jobs: Path) -> None:
        from runs.executors.base import Capacity

        self.name = name
        self.kind = "slurm" if name == "cluster" else "local"
        self.calls: dict[str, int] = {}
        self._total = Capacity(slots=slots, gpus=64, nodes=16, has_queue=name == "cluster")
        self._jobs = jobs

    def _count(self, call: str) -> None:
        self.calls[call] = self.calls.get(call, 0) + 1

    def capacity(self) -> Any:
        """Return what there is."""
        self._count("capacity")
        return self._total

    def problems(self) -> list[str]:
        """Return nothing."""
        self._count("problems")
        return []

    def submit(self, request: Any) -> str:
        """Note the job."""
        self._count("submit")
        with self._jobs.open("a", encoding="utf-8") as file:
            file.write(f"{request.name}\n")
        return f"job-{request.name}"

    def poll(self, handles: Mapping[str, str]) -> dict[str, Any]:
        """Say that all jobs run."""
        from runs.executors.base import JobState

        self._count("poll")
        return {uid: JobState("running", engine="RUNNING") for uid in handles}

    def choices(self, recipe: str) -> tuple[()]:  # noqa: ARG002 - the contract's
        """Return nothing to choose."""
        return ()

    def max_time_limit_minutes(self, recipe: str) -> None:  # noqa: ARG002 - the contract's
        """Return no bound."""
        return


def install(slots: Mapping[str, int], jobs: str) -> dict[str, Engine]:
    """Put engines in the place of the installation's executors; returns them by name."""
    from runs import registry
    from runs.executors.configuration import Configuration, LocalSettings

    engines = {name: Engine(name, slots=count, jobs=Path(jobs)) for name, count in slots.items()}
    declared = {name: LocalSettings() for name in engines}
    loaded = registry._Loaded((), Configuration("local", declared), MappingProxyType(engines))  # noqa: SLF001
    registry._load = lambda: loaded  # noqa: SLF001 - the one place that all ask
    return engines


def fill_queue(*, waiting: Mapping[str, int], live: Mapping[str, int], limit: int | None = None) -> dict[str, int]:
    """Remove all runs; queue new ones of a real recipe by executor, each asking for a GPU, and let others run there.

    `limit` is how many runs the project of the queue may run at once, None for any number.
    """
    from django.utils import timezone

    from benchmarks.fill import rows
    from runs.models import Attempt, Run, TelemetryCounter
    from runs.services import prepare_run

    Run.objects.all().delete()
    owner = rows.project("queue")
    type(owner).objects.filter(pk=owner.pk).update(max_running_runs=limit)
    values = {"name": "waits", "recipe": "tiny-gpt", "compute": {"gpus_per_node": 1}}
    pattern = prepare_run(project=owner, values=values)
    names = ("project", "name", "recipe", "recipe_snapshot", "recipe_digest", "compute", "executor")
    now = timezone.now()
    for executor, count in waiting.items():
        pattern.executor = executor
        fields = {name: getattr(pattern, name) for name in names}
        for start in range(0, count, RUNS_AT_ONCE):
            moments = [now - timedelta(seconds=index) for index in range(start, min(start + RUNS_AT_ONCE, count))]
            runs = Run.objects.bulk_create([Run(**fields, queued_at=moment) for moment in moments])
            TelemetryCounter.objects.bulk_create([TelemetryCounter(run=run) for run in runs])
    for executor, count in live.items():
        pattern.executor = executor
        fields = {name: getattr(pattern, name) for name in names if name != "project"} | {
            "project": rows.project("live")
        }
        runs = Run.objects.bulk_create([Run(**fields, status="running", started_at=now) for _ in range(count)])
        attempts = [rows.live_attempt(run) for run in runs]
        for attempt in attempts:
            attempt.executor, attempt.handle = executor, f"job-{attempt.uid}"
        Attempt.objects.bulk_create(attempts)
    return {**waiting}


def time_passes(*, slots: Mapping[str, int], jobs: str, passes: int) -> dict[str, Any]:
    """Make passes over the queue; return seconds of each, also of the processor, and queries and calls of the last."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from runs.scheduler.loop import run_pass

    engines = install(slots, jobs)
    run_pass()  # the reasons are written once
    seconds, cpu = [], []
    for _ in range(passes):
        started, used = time.perf_counter(), time.process_time()
        run_pass()
        seconds.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    for engine in engines.values():
        engine.calls.clear()
    with CaptureQueriesContext(connection) as queries:
        run_pass()
    return {
        "seconds": seconds,
        "cpu": cpu,
        "queries": len(queries),
        "calls": {name: one.calls for name, one in engines.items()},
    }


def start_all(*, slots: Mapping[str, int], jobs: str, wanted: int, seconds: float) -> dict[str, Any]:
    """Make passes as the scheduler does until `wanted` runs in all have started; several processes may at once.

    Returns the seconds until the pass was over after which some had started, until all had, and the longest pass.
    """
    from runs.models import Attempt
    from runs.scheduler.loop import run_pass

    install(slots, jobs)
    started = time.perf_counter()
    first, longest = 0.0, 0.0
    while time.perf_counter() - started < seconds:
        before = time.perf_counter()
        run_pass()
        longest = max(longest, time.perf_counter() - before)
        count = Attempt.objects.filter(submitted_at__isnull=False, handle__startswith="job-").count()
        first = first or (time.perf_counter() - started if count else 0.0)
        if count >= wanted:
            break
    return {"first": first, "all": time.perf_counter() - started, "longest": longest}


def main() -> None:
    """Set Django up, do what is asked, print."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trainhub.settings")
    import django

    django.setup()
    known: dict[str, Callable[..., Any]] = {"fill": fill_queue, "passes": time_passes, "start": start_all}
    print(json.dumps(known[sys.argv[1]](**json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
