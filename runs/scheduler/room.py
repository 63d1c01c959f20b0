"""Room on the executors, free and taken, what projects may still use of it, and why a run does not fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from django.db.models import Q

from projects.models import Project
from runs.executors.base import Capacity, ClosedExecutor, Executor, ExecutorError, MissingExecutor
from runs.models import Attempt, Run
from runs.registry import executors

MAX_REASON = 500  # characters, as long as the column
_HELD = ("executor", "gpu_indexes", "gpu_count", "started_at", "engine_state")


class Room:
    """What is free on one executor in this pass.

    `live` are the attempts that hold its slots; `taken_gpus` the indexes of this machine's GPUs that any attempt has.
    """

    def __init__(self, executor: Executor, live: Sequence[Attempt], taken_gpus: Collection[int] = ()) -> None:
        self.name = executor.name
        self.is_declared_well = not isinstance(executor, MissingExecutor | ClosedExecutor)
        try:
            self.total, self.problems = executor.capacity(), executor.problems()
        except ExecutorError as error:
            self.total, self.problems = Capacity(slots=0, gpus=0), [f"The executor cannot be asked: {error}."]
        self.used_slots = len(live)
        self.used_gpus = sum(attempt.gpu_count for attempt in live)
        indexes = range(0 if self.total.has_queue else self.total.gpus)
        self.free_gpus = [index for index in indexes if index not in taken_gpus]
        self.gpus_are_held = False

    @property
    def why_closed(self) -> str:
        """Why nothing can start here, for owners of runs; empty when something can.

        What is wrong with a declaration names files of the hub's machine: that is for operators.
        """
        is_wrong = self.problems and not self.is_declared_well
        return f"The executor {self.name} is declared wrongly." if is_wrong else " ".join(self.problems)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can start here in this pass, whatever it needs."""
        return bool(self.problems) or self.used_slots >= self.total.slots

    def never_fits(self, run: Run) -> str:
        """Return why `run` can never start here, as a sentence for its owner; empty when it may."""
        nodes, gpus = wanted_gpus(run)
        if nodes * gpus > self.total.gpus:
            return f"Needs {nodes} × {gpus} GPUs, this executor has {self.total.gpus}."
        if nodes > self.total.nodes:
            return f"Needs {nodes} nodes, this executor has {self.total.nodes}."
        return ""

    def why_not(self, run: Run) -> str:
        """Return why `run`, which fits, cannot start now, as a sentence for its owner; empty when it can.

        An engine with a queue of its own waits for GPUs itself.
        """
        nodes, gpus = wanted_gpus(run)
        counts_gpus = gpus and not self.total.has_queue
        if counts_gpus and self.gpus_are_held:
            # Not which one: it may belong to a project that this run's owner does not see.
            return "Waits behind a run that came first and waits for GPUs."
        if self.used_slots >= self.total.slots:
            return f"Waits for a free slot: {self.used_slots} of {self.total.slots} are in use."
        if counts_gpus and nodes * gpus > len(self.free_gpus):
            return f"Needs {nodes} × {gpus} GPUs, {len(self.free_gpus)} of {self.total.gpus} are free."
        return ""

    def hold_for(self, run: Run) -> None:
        """Give no GPU to runs behind `run`, which waits for room, so that large runs are not starved by small ones.

        Runs without GPUs pass.
        """
        if wanted_gpus(run)[1]:
            self.gpus_are_held = True

    def take(self, run: Run) -> list[int]:
        """Reserve a slot and GPUs for `run`; returns the GPU indexes, none where the engine gives them."""
        nodes, gpus = wanted_gpus(run)
        self.used_slots += 1
        self.used_gpus += nodes * gpus
        given, self.free_gpus = self.free_gpus[: nodes * gpus], self.free_gpus[nodes * gpus :]
        return given


class Quota:
    """What the runs of one project may still use in this pass, by the limits that operators set; None is no limit."""

    def __init__(self, *, max_runs: int | None, max_gpus: int | None, runs: int = 0, gpus: int = 0) -> None:
        self.max_runs, self.max_gpus = max_runs, max_gpus
        self.runs, self.gpus = runs, gpus
        self.gpus_are_held = False

    def never_fits(self, run: Run) -> str:
        """Return why the project may never start `run`, as a sentence for its owner; empty when it may."""
        nodes, gpus = wanted_gpus(run)
        if self.max_gpus is not None and nodes * gpus > self.max_gpus:
            return f"Needs {nodes} × {gpus} GPUs, this project may use {self.max_gpus} at once."
        return ""

    def why_not(self, run: Run) -> str:
        """Return why the project may not start `run` now, as a sentence for its owner; empty when it may.

        When that is for its GPUs, those are held for it: no run of the project behind it gets any.
        """
        nodes, gpus = wanted_gpus(run)
        if self.max_runs is not None and self.runs >= self.max_runs:
            return f"Waits: this project may run {_count(self.max_runs, 'run')} at once."
        if self.max_gpus is None or not gpus:
            return ""
        if self.gpus_are_held:
            return "Waits behind a run of this project that came first and waits for GPUs."
        if self.gpus + nodes * gpus > self.max_gpus:
            self.gpus_are_held = True
            return f"Waits: this project may use {_count(self.max_gpus, 'GPU')} at once, {self.gpus} are taken."
        return ""

    def take(self, run: Run) -> None:
        """Count `run` as started, or as the next to start."""
        nodes, gpus = wanted_gpus(run)
        self.runs += 1
        self.gpus += nodes * gpus


class Space:
    """What can start now: the room on each executor by name, and the quotas of projects that have limits, by key."""

    def __init__(self, rooms: Mapping[str, Room], quotas: Mapping[int, Quota] | None = None) -> None:
        self.rooms = rooms
        self.quotas = quotas or {}

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can start anywhere in this pass."""
        return all(room.is_closed for room in self.rooms.values())

    def why_not(self, run: Run) -> str:
        """Return why `run` cannot start now, empty when it can: what the scheduler goes by and what a plan foretells.

        What it waits for is held for it, so that nothing behind it gets that: GPUs of the executor, and what its
        project may use. A run that never fits holds up nobody, and one that its project's limits keep from starting
        nobody else's.
        """
        return self._why_not(run)[:MAX_REASON]

    def _why_not(self, run: Run) -> str:
        room = self.rooms.get(run.executor)
        if room is None:
            return MissingExecutor(run.executor).problems()[0]
        if room.problems:
            return room.why_closed
        quota = self.quotas.get(run.project_id)
        never_fits = room.never_fits(run) or (quota.never_fits(run) if quota else "")
        return never_fits or self._why_not_now(run, room, quota)

    @staticmethod
    def _why_not_now(run: Run, room: Room, quota: Quota | None) -> str:
        barred = quota.why_not(run) if quota else ""
        if barred:
            return barred
        why_not = room.why_not(run)
        if why_not:
            room.hold_for(run)
            if quota:
                quota.take(run)
        return why_not

    def take(self, run: Run) -> list[int]:
        """Reserve what `run` needs; returns the GPU indexes."""
        quota = self.quotas.get(run.project_id)
        if quota:
            quota.take(run)
        return self.rooms[run.executor].take(run)


def wanted_gpus(run: Run) -> tuple[int, int]:
    """Return nodes and GPUs a node to reserve; none for recipes that reserve nothing, such as a simulation."""
    return run.reserved


def current_space() -> Space:
    """Return what is free now. Two queries, and each executor is asked once."""
    live: dict[str, list[Attempt]] = defaultdict(list)
    of_project: dict[int, list[Attempt]] = defaultdict(list)
    for attempt in live_attempts():
        live[attempt.executor].append(attempt)
        of_project[attempt.run.project_id].append(attempt)
    # Whatever the executor was called when it gave them away: there is one machine.
    taken_gpus = {index for attempts in live.values() for attempt in attempts for index in attempt.gpu_indexes}
    rooms = {name: Room(executor, live[name], taken_gpus) for name, executor in executors().items()}
    limits = Project.objects.exclude(Q(max_running_runs=None) & Q(max_gpus=None)).order_by()
    quotas = {
        key: Quota(
            max_runs=max_runs,
            max_gpus=max_gpus,
            runs=len(of_project[key]),
            gpus=sum(attempt.gpu_count for attempt in of_project[key]),
        )
        for key, max_runs, max_gpus in limits.values_list("pk", "max_running_runs", "max_gpus")
    }
    return Space(rooms, quotas)


def live_attempts() -> list[Attempt]:
    """Return all attempts that hold a slot, with what they hold, whether they train, and their project. One query."""
    rows = Attempt.objects.filter(ended_at__isnull=True).order_by().select_related("run")
    return list(rows.only(*_HELD, "run__project_id"))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
