"""What happens to attempts: made, claimed, started, heard of, ended."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from projects.models import Project
from runner.protocol import ClaimRequest, ExitReport, HeartbeatRequest
from runs.lifecycle import LIVE, OUTCOMES, Reason, Status, transition
from runs.models import Attempt, ExecutorLock, Run
from trainhub.errors import AlreadyClaimed, Conflict, Fenced
from trainhub.retrying import retry_undone

SKEW_SHOWN_SECONDS = 5.0  # smaller differences are travel time and jitter
# How much earlier than the grace period before the end a stop is still the time limit's: engines warn early, and check
# their clocks now and then (sbatch(1), --signal: up to 60 s; the slack that the executor adds for uploads: 60 s).
ENGINE_WARNS_EARLY, HUB_WARNS_EARLY = timedelta(seconds=150), timedelta(seconds=5)
# What it means for an attempt that its engine ended it; `runs.executors.base.Ending` without the empty one.
REASONS_OF_ENDINGS = {
    "node_failed": Reason.NODE_FAILED,
    "time_limit": Reason.TIME_LIMIT,
    "preempted": Reason.PREEMPTED,
    "cancelled": Reason.CANCELLED_IN_ENGINE,
    "refused": Reason.SUBMIT_REFUSED,
    "out_of_memory": Reason.OUT_OF_MEMORY,
}


def attempt_token(uid: str) -> str:
    """Return the attempt's token: derived, so that a submit repeated after a crash hands out the same one."""
    return hmac.new(settings.SECRET_KEY.encode(), f"attempt:{uid}".encode(), hashlib.sha256).hexdigest()


def tracking_token(uid: str) -> str:
    """Return the token that the trainer's MLflow client of an attempt gets: it may track, and nothing else."""
    return hmac.new(settings.SECRET_KEY.encode(), f"tracking:{uid}".encode(), hashlib.sha256).hexdigest()


def token_digest(token: str) -> str:
    """Return what is stored of a token. SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def open_attempt(*, run: Run, gpu_indexes: list[int], slots: int | None = None) -> Attempt:
    """Record the next attempt of a queued run and move the run to starting, both or neither.

    After a crash it resumes from the newest verified checkpoint of the run; the first attempt from the one asked for.
    `slots` is how many attempts the executor takes at once; None does not look whether there is room, nor whether the
    project's limits allow it.

    Raises: StatusChanged when the run is no longer queued, Conflict when another scheduler gave the room away.
    """
    nodes, gpus = run.reserved
    with transaction.atomic():
        if slots is not None:
            _check_room(run.executor, gpu_indexes, slots)
            _check_limits(run.project_id, nodes * gpus)
        previous = run.attempts.order_by("-number").first()
        attempt = Attempt(
            run=run,
            number=previous.number + 1 if previous else 1,
            executor=run.executor,
            gpu_indexes=gpu_indexes,
            gpu_count=nodes * gpus,
            resume_from=_checkpoint_to_restore(run, has_run_before=previous is not None),
        )
        attempt.token_digest = token_digest(attempt_token(attempt.uid))
        attempt.tracking_digest = token_digest(tracking_token(attempt.uid))
        # The guarded step comes first: of two schedulers one fails here and writes nothing.
        transition(run=run, to=Status.STARTING, actor="scheduler")
        attempt.save()
    return attempt


def _check_room(executor: str, gpu_indexes: list[int], slots: int) -> None:
    """Look again, alone, whether the slot and the GPUs are still free. Raises: Conflict. Call in a transaction."""
    ExecutorLock.objects.get_or_create(name=executor)
    ExecutorLock.objects.select_for_update().get(name=executor)
    live = Attempt.objects.filter(executor=executor, ended_at__isnull=True).order_by()
    is_full = live.count() >= slots
    if is_full or (gpu_indexes and _taken_gpus() & set(gpu_indexes)):
        raise Conflict("Another scheduler gave this room away.")


def _taken_gpus() -> set[int]:
    """Return the GPUs of this machine that attempts hold, also those of an executor that was renamed meanwhile."""
    live = Attempt.objects.filter(ended_at__isnull=True).order_by()
    return {index for indexes in live.values_list("gpu_indexes", flat=True) for index in indexes}


def _check_limits(project: int, gpus: int) -> None:
    """Look again, alone, whether the project's limits allow one more run. Raises: Conflict. Call in a transaction.

    The project is locked, not the executor: its runs may start on several at once. Runs can be queued meanwhile.
    """
    limited = Project.objects.exclude(Q(max_running_runs=None) & Q(max_gpus=None)).order_by().filter(pk=project)
    found = limited.select_for_update(no_key=True).values_list("max_running_runs", "max_gpus").first()
    if found is None:
        return
    max_runs, max_gpus = found
    live = Attempt.objects.filter(run__project=project, ended_at__isnull=True).order_by()
    used = live.aggregate(runs=Count("pk"), gpus=Coalesce(Sum("gpu_count"), 0))
    is_over = max_gpus is not None and gpus and used["gpus"] + gpus > max_gpus
    if is_over or (max_runs is not None and used["runs"] >= max_runs):
        raise Conflict("Another scheduler started what the project's limits allow.")


def _checkpoint_to_restore(run: Run, *, has_run_before: bool) -> Any:
    if has_run_before:
        # What the trainer saved in its output folder; what it sent as a model elsewhere may have another layout.
        newest = (
            run.artifacts.filter(type="checkpoint", state="verified", is_from_client=False)
            .order_by(F("step").desc(nulls_last=True), "-id")
            .first()
        )
        if newest is not None:
            return newest
    return run.resumed_from


def claim_attempt(*, attempt: Attempt, claim: ClaimRequest) -> Attempt:
    """Give the attempt to the runner that asks first; the same runner may ask again.

    Raises: AlreadyClaimed for another runner, Fenced when the attempt has ended.
    """
    now = timezone.now()
    won = Attempt.objects.filter(pk=attempt.pk, claimed_at__isnull=True, ended_at__isnull=True).update(
        claimed_at=now,
        claimed_by=claim["instance"],
        heartbeat_at=now,
        host=claim["host"],
        runner_pid=claim["pid"],
        phase="preparing",
    )
    attempt.refresh_from_db()
    if attempt.ended_at is not None:
        raise Fenced("The attempt has ended.")
    if not won and attempt.claimed_by != claim["instance"]:
        raise AlreadyClaimed("Another runner holds this attempt.")
    return attempt


@retry_undone
def record_start(*, attempt: Attempt, trainer_pid: int) -> None:
    """Note that the trainer process exists: the run is running. Asking again changes nothing. Raises: Fenced."""
    with transaction.atomic():
        run = lock_live(attempt)
        now = timezone.now()
        Attempt.objects.filter(pk=attempt.pk, started_at__isnull=True).update(
            started_at=now, heartbeat_at=now, phase="training"
        )
        if run.status == Status.STARTING:
            evidence = {"host": attempt.host, "trainer_pid": trainer_pid, "attempt": attempt.number}
            transition(run=run, to=Status.RUNNING, actor="runner", attempt=attempt, evidence=evidence)


def record_heartbeat(*, attempt: Attempt, heartbeat: HeartbeatRequest) -> str | None:
    """Take a sign of life and answer with the order that waits: "cancel" or None. Raises: Fenced."""
    if attempt.ended_at is not None:
        raise Fenced("The attempt has ended.")
    now = timezone.now()
    if heartbeat["phase"] == "stopping" and attempt.phase != "stopping":
        _note_signal(attempt)
    skew = heartbeat["sent_at_ms"] / 1000 - now.timestamp()
    changes: dict[str, Any] = {
        "heartbeat_at": now,
        "phase": heartbeat["phase"],
        "clock_skew_seconds": round(skew, 1) if abs(skew) > SKEW_SHOWN_SECONDS else None,
    }
    if heartbeat["phase"] != "finishing":
        # The engine was wrong about the runner's end. A recovery says "finishing", and its time goes on running out:
        # one that dies over and over must not keep the run from ending.
        changes["runner_gone_at"] = None
    heard = Attempt.objects.filter(pk=attempt.pk, ended_at__isnull=True).update(**changes)
    if not heard:
        raise Fenced("The attempt has ended.")
    _note_progress(attempt, heartbeat["progress"], now)
    is_cancelling = attempt.run.status == Status.CANCELLING
    return "cancel" if is_cancelling else None


def _note_progress(attempt: Attempt, progress: float | None, now: datetime) -> None:
    if progress is not None:
        Run.objects.filter(pk=attempt.run_id, status__in=LIVE).exclude(progress=progress).update(
            progress=progress, updated_at=now
        )


def _note_signal(attempt: Attempt) -> None:
    """Write once in the timeline that the trainer was asked to stop."""
    note_once(attempt, "signalled", actor="runner", message="SIGTERM was sent to the trainer.", evidence={"signal": 15})


def note_once(attempt: Attempt, kind: str, **values: Any) -> None:
    """Append an event of an attempt unless it has one of that kind.

    Two who note at the same moment may both write; that is a line too many, and never an error.
    """
    events = attempt.run.events
    if not events.filter(kind=kind, attempt=attempt).exists():
        events.create(kind=kind, attempt=attempt, **values)


def _lock_run(attempt: Attempt) -> Run:
    """Lock and return the run. Rows that name it may be inserted meanwhile: ingest neither waits nor deadlocks."""
    return Run.objects.select_for_update(no_key=True).get(pk=attempt.run_id)


def lock_live(attempt: Attempt) -> Run:
    """Lock and return the run of an attempt that may still write. Raises: Fenced. Call in a transaction."""
    run = _lock_run(attempt)
    if not Attempt.objects.filter(pk=attempt.pk, ended_at__isnull=True).exists():
        raise Fenced("The attempt has ended.")
    return run


@retry_undone
def finish_attempt(*, attempt: Attempt, report: ExitReport, actor: str = "runner") -> Run:
    """End an attempt by its exit report, and with it the run, or queue the run again when it may restart.

    A report that comes again changes nothing. Rows: the attempt, the run, its event.
    """
    with transaction.atomic():
        run = _lock_run(attempt)
        reason = judge(run_status=Status(run.status), report=report, told=told_reason(attempt, report))
        message = describe_exit(report, reason)
        ended = Attempt.objects.filter(pk=attempt.pk, ended_at__isnull=True).update(
            ended_at=timezone.now(),
            exit_code=report["exit_code"],
            signal=report["signal"],
            reason=reason,
            message=message,
            phase="",
        )
        if not ended:
            return run
        _note_progress(attempt, report.get("progress"), timezone.now())
        if report["was_stopped"]:
            _note_signal(attempt)
        evidence = {name: report[name] for name in ("exit_code", "signal", "was_stopped", "was_killed", "runner_died")}
        return _end_run(run, attempt, reason, message, actor, {"attempt": attempt.number, **evidence})


@retry_undone
def end_attempt_without_report(
    *, attempt: Attempt, reason: Reason, message: str = "", is_unclaimed: bool = False
) -> Run | None:
    """End an attempt whose runner will not speak any more, on the scheduler's evidence.

    Returns None when it had ended already, or with `is_unclaimed` when a runner claimed it; nothing is written then.
    """
    message = message[:1000]  # as long as the columns; an engine's words may be longer
    with transaction.atomic():
        run = _lock_run(attempt)
        if run.status == Status.CANCELLING and OUTCOMES[reason].status != Status.CANCELLED:
            reason = Reason.CANCELLED
        silent = Attempt.objects.filter(pk=attempt.pk, ended_at__isnull=True)
        if is_unclaimed:
            silent = silent.filter(claimed_at__isnull=True)
        ended = silent.update(ended_at=timezone.now(), reason=reason, message=message, phase="")
        if not ended:
            return None
        return _end_run(run, attempt, reason, message, "scheduler", {"attempt": attempt.number})


def _end_run(run: Run, attempt: Attempt, reason: Reason, message: str, actor: str, evidence: dict[str, Any]) -> Run:
    to = OUTCOMES[reason].status
    if may_restart(run, attempt, reason, evidence.get("exit_code")):
        restart = f"{OUTCOMES[reason].text} Restart {attempt.number} of {run.max_restarts}."
        return transition(
            run=run,
            to=Status.QUEUED,
            actor=actor,
            attempt=attempt,
            message=f"{restart} {message}".strip()[:1000],
            evidence={**evidence, "ended_by": reason.value},
        )
    if run.status == Status.STARTING and to != Status.FAILED:
        transition(run=run, to=Status.RUNNING, actor=actor, attempt=attempt)  # its own report of the start is late
    return transition(run=run, to=to, reason=reason, message=message, actor=actor, attempt=attempt, evidence=evidence)


def may_restart(run: Run, attempt: Attempt, reason: Reason, exit_code: int | None = None) -> bool:
    """Tell whether another attempt follows: a crash, restarts left, and nobody asked to cancel.

    `exit_code`: of the trainer, if known; its recipe says with which ones another attempt would end in the same way.
    """
    return (
        OUTCOMES[reason].may_restart
        and run.status in {Status.STARTING, Status.RUNNING}
        and attempt.number <= run.max_restarts
        and exit_code not in run.recipe_snapshot.get("no_restart_exit_codes", [])
    )


def judge(*, run_status: Status, report: ExitReport, told: Reason | None = None) -> Reason:  # noqa: PLR0911 - one return for each case reads best
    """Decide why the attempt ended, from the runner's report and whether a cancel was asked for.

    `told` is why somebody other than trainhub's users stopped or ended it, where that is known.
    """
    asked = run_status == Status.CANCELLING
    if asked and (report["was_stopped"] or report["runner_died"]):
        return Reason.CANCELLED
    if report["runner_died"]:
        return told or Reason.RUNNER_DIED
    if report["problem"] is not None:
        return Reason.CHECKPOINT_DAMAGED if report["problem"] == "resume_damaged" else Reason.START_FAILED
    if report["out_of_memory"]:
        return Reason.OUT_OF_MEMORY
    if report["was_stopped"]:
        return told or Reason.STOPPED_OUTSIDE
    if report["signal"] is not None:
        return Reason.TRAINER_KILLED
    return Reason.FINISHED if report["exit_code"] == 0 else Reason.TRAINER_FAILED


def told_reason(attempt: Attempt, report: ExitReport) -> Reason | None:
    """Return why the engine or a time limit ended the attempt, None when neither is known to have done it.

    A trainer that was warned of the limit ends before it, when the engine has nothing to say yet.
    """
    ending = REASONS_OF_ENDINGS.get(attempt.engine_ending)
    end = attempt.engine_ends_at
    if ending or end is None or not report["was_stopped"]:
        return ending
    early = ENGINE_WARNS_EARLY if attempt.engine_state else HUB_WARNS_EARLY
    is_near = timezone.now() >= end - timedelta(seconds=attempt.run.grace_seconds) - early
    return Reason.TIME_LIMIT if is_near else None


def describe_exit(report: ExitReport, reason: Reason) -> str:
    """Say in a line how the trainer ended, with its own last words where it had any."""
    parts = []
    if report["was_killed"]:
        parts.append("It did not stop within the grace period and was killed.")
    elif report["signal"] is not None:
        parts.append(f"Signal {report['signal']}.")
    elif report["exit_code"]:
        parts.append(f"Exit code {report['exit_code']}.")
    if report["message"] and reason not in {Reason.FINISHED, Reason.CANCELLED}:
        parts.append(report["message"])
    return " ".join(parts)[:1000]


def is_unreachable(attempt: Attempt | None, now: datetime | None = None) -> bool:
    """Tell whether a claimed attempt has been silent for too long to call it reachable."""
    return attempt is not None and attempt.ended_at is None and is_silent(attempt.heartbeat_at, now)


def is_silent(heartbeat_at: datetime | None, now: datetime | None = None) -> bool:
    """Tell whether the last heartbeat of a live attempt is too long ago; before the first one it is not."""
    if heartbeat_at is None:
        return False
    return (now or timezone.now()) - heartbeat_at > timedelta(seconds=settings.UNREACHABLE_AFTER_SECONDS)
