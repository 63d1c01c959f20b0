"""Room on one executor: slots and GPUs, free and taken, and why a run does not fit."""

from __future__ import annotations

from runs.executors.base import Capacity, Executor, ExecutorError
from runs.models import Attempt, Run


class Room:
    """What is free on one executor in this pass."""

    def __init__(self, executor: Executor, live: list[Attempt]) -> None:
        try:
            self.total, self.problems = executor.capacity(), executor.problems()
        except ExecutorError as error:
            self.total, self.problems = Capacity(slots=0, gpus=0), [f"The executor cannot be asked: {error}."]
        self.used_slots = len(live)
        taken = {index for attempt in live for index in attempt.gpu_indexes}
        self.free_gpus = [index for index in range(self.total.gpus) if index not in taken]
        self.gpus_are_held = False

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can start here in this pass, whatever it needs."""
        return bool(self.problems) or self.used_slots >= self.total.slots

    def why_not(self, run: Run) -> str:  # noqa: PLR0911 - one return for each reason reads best
        """Return why `run` cannot start now, as a sentence for its owner; empty when it can."""
        nodes, gpus = wanted_gpus(run)
        if self.problems:
            return " ".join(self.problems)
        if nodes * gpus > self.total.gpus:
            return f"Needs {nodes} × {gpus} GPUs, this executor has {self.total.gpus}."
        if gpus and nodes > self.total.nodes:
            return f"Needs {nodes} nodes, this executor has {self.total.nodes}."
        if gpus and self.gpus_are_held:
            # Not which one: it may belong to a project that this run's owner does not see.
            return "Waits behind a run that came first and waits for GPUs."
        if self.used_slots >= self.total.slots:
            return f"Waits for a free slot: {self.used_slots} of {self.total.slots} are in use."
        if nodes * gpus > len(self.free_gpus):
            return f"Needs {nodes} × {gpus} GPUs, {len(self.free_gpus)} of {self.total.gpus} are free."
        return ""

    def hold_for(self, run: Run) -> None:
        """Give no GPU to runs behind `run` while it waits for GPUs, so that large runs are not starved by small ones.

        Runs without GPUs pass, and a run that never fits here holds up nobody.
        """
        nodes, gpus = wanted_gpus(run)
        never_fits = nodes * gpus > self.total.gpus or nodes > self.total.nodes
        if gpus and not (never_fits or self.problems):
            self.gpus_are_held = True

    def take(self, run: Run) -> list[int]:
        """Reserve a slot and GPUs for `run`; returns the GPU indexes."""
        nodes, gpus = wanted_gpus(run)
        self.used_slots += 1
        given, self.free_gpus = self.free_gpus[: nodes * gpus], self.free_gpus[nodes * gpus :]
        return given


def wanted_gpus(run: Run) -> tuple[int, int]:
    """Return nodes and GPUs a node to reserve; none for recipes that reserve nothing, such as a simulation."""
    if not run.recipe_snapshot.get("reserves_compute", True):
        return 1, 0
    return int(run.compute.get("node_count", 1)), int(run.compute.get("gpus_per_node", 0))
