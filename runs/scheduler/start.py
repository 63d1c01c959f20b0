"""Starting: which waiting runs fit now, and why the others wait."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from runs.attempts import attempt_token, end_attempt_without_report, open_attempt
from runs.executors.base import Capacity, Executor, ExecutorError, SubmitRefused, SubmitRequest
from runs.lifecycle import Reason, Status
from runs.models import Attempt, Run
from runs.registry import executors
from trainhub.errors import Conflict

logger = logging.getLogger(__name__)
CANDIDATES = 200  # waiting runs looked at in one pass, by priority; more cannot start at once anyway
REASON_AGE = timedelta(seconds=20)  # a shown reason is looked at again at least this often (promise: 60 s)
RESUBMIT_AFTER = timedelta(seconds=5)  # an attempt without a handle this old lost its scheduler in between


class Room:
    """What is free on one executor in this pass."""

    def __init__(self, executor: Executor, live: list[Attempt]) -> None:
        self.executor = executor
        self.total: Capacity = executor.capacity()
        self.problems = executor.problems()
        self.used_slots = len(live)
        taken = {index for attempt in live for index in attempt.gpu_indexes}
        self.free_gpus = [index for index in range(self.total.gpus) if index not in taken]
        self.blocked_by = ""

    def why_not(self, run: Run) -> str:  # noqa: PLR0911 - one return for each reason reads best
        """Return why `run` cannot start now, as a sentence for its owner; empty when it can."""
        nodes, gpus = wanted_gpus(run)
        if self.problems:
            return " ".join(self.problems)
        if nodes * gpus > self.total.gpus:
            return f"Needs {nodes} × {gpus} GPUs, this executor has {self.total.gpus}."
        if gpus and nodes > self.total.nodes:
            return f"Needs {nodes} nodes, this executor has {self.total.nodes}."
        if self.blocked_by:
            return f"Waits behind {self.blocked_by}."
        if self.used_slots >= self.total.slots:
            return f"Waits for a free slot: {self.used_slots} of {self.total.slots} are in use."
        if nodes * gpus > len(self.free_gpus):
            return f"Needs {nodes} × {gpus} GPUs, {len(self.free_gpus)} of {self.total.gpus} are free."
        return ""

    def is_for_good(self, run: Run) -> bool:
        """Tell whether `run` never fits here; it then holds up nobody."""
        nodes, gpus = wanted_gpus(run)
        return nodes * gpus > self.total.gpus or bool(gpus and nodes > self.total.nodes)

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


def start_waiting_runs(now: datetime) -> int:
    """Start what fits, in order; note for the others why they wait. Returns how many were started."""
    waiting = list(Run.objects.waiting()[:CANDIDATES])
    if not waiting:
        return 0
    rooms = _rooms()
    started = 0
    reasons: dict[str, list[Run]] = defaultdict(list)
    for run in waiting:
        room = rooms.get(run.executor)
        why_not = room.why_not(run) if room else f"There is no executor {run.executor} any more."
        if why_not or room is None:
            reasons[why_not].append(run)
            if room and not room.blocked_by and not room.is_for_good(run) and not room.problems:
                # Nothing overtakes a run that waits for room, so that large runs are not starved by small ones.
                room.blocked_by = f"{run.name} ({run.uid})" if wanted_gpus(run)[1] else ""
        elif start_run(run=run, gpu_indexes=room.take(run)):
            started += 1
    _note_reasons(reasons, now)
    return started


def _rooms() -> dict[str, Room]:
    live = defaultdict(list)
    for attempt in Attempt.objects.filter(ended_at__isnull=True).only("executor", "gpu_indexes"):
        live[attempt.executor].append(attempt)
    return {name: Room(executor, live[name]) for name, executor in executors().items()}


def _note_reasons(reasons: dict[str, list[Run]], now: datetime) -> None:
    """Write the reasons that are new or old; one statement for each text."""
    for text, runs in reasons.items():
        stale = [
            run.pk
            for run in runs
            if run.waiting_reason != text or run.waiting_checked_at is None or now - run.waiting_checked_at > REASON_AGE
        ]
        if stale:
            Run.objects.filter(pk__in=stale, status=Status.QUEUED).update(waiting_reason=text, waiting_checked_at=now)


def start_run(*, run: Run, gpu_indexes: list[int]) -> bool:
    """Open an attempt and submit it; False when another scheduler or a cancel was faster."""
    try:
        attempt = open_attempt(run=run, gpu_indexes=gpu_indexes)
    except Conflict:
        return False
    submit_attempt(attempt)
    return True


def submit_attempt(attempt: Attempt) -> None:
    """Hand an attempt to its executor; safe to repeat after a crash at any point.

    A refusal ends the attempt; an engine that cannot be asked leaves it for a later pass.
    """
    try:
        handle = executors()[attempt.executor].submit(_request(attempt))
    except SubmitRefused as refusal:
        end_attempt_without_report(attempt=attempt, reason=Reason.SUBMIT_REFUSED, message=str(refusal))
    except ExecutorError as error:
        logger.warning("attempt %s could not be submitted yet: %s", attempt.uid, error)
    else:
        Attempt.objects.filter(pk=attempt.pk).update(handle=handle, submitted_at=timezone.now())


def _request(attempt: Attempt) -> SubmitRequest:
    nodes, gpus = wanted_gpus(attempt.run)
    has_gpus = executors()[attempt.executor].capacity().gpus > 0
    return SubmitRequest(
        name=attempt.uid,
        folder=settings.DATA_DIR / "attempts" / attempt.uid,
        hub_url=settings.NODE_URL,
        token=attempt_token(attempt.uid),
        nodes=nodes,
        gpus_per_node=gpus,
        gpu_indexes=tuple(attempt.gpu_indexes) if has_gpus else None,
    )


def submit_forgotten_attempts(now: datetime) -> int:
    """Submit attempts whose scheduler died between recording and submitting them. Returns how many."""
    forgotten: Any = Attempt.objects.filter(
        ended_at__isnull=True, submitted_at__isnull=True, created_at__lt=now - RESUBMIT_AFTER
    ).select_related("run")
    for attempt in forgotten:
        submit_attempt(attempt)
    return len(forgotten)
