"""External runs: made and ended by a tracking client, executed by nobody here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from projects.models import Project
from projects.services import activate_project
from projects.uids import new_run_uid
from runs.epoch import milliseconds
from runs.lifecycle import TERMINAL, Reason, Status, transition
from runs.models import Attempt, ClientStatus, Run, RunTracking, TelemetryCounter
from runs.tracking.writing import MAX_NAME, NAME_TAG, set_tags
from trainhub.errors import Conflict, InvalidInput

MAX_TIME_MS = 253_402_300_799_999  # the end of the year 9999
# What a client's word makes of an external run; the other words leave it as it is.
ENDS = {
    ClientStatus.FINISHED: (Status.COMPLETED, Reason.FINISHED),
    ClientStatus.FAILED: (Status.FAILED, Reason.REPORTED_FAILED),
    ClientStatus.KILLED: (Status.CANCELLED, Reason.REPORTED_KILLED),
}


@transaction.atomic
def create_external_run(
    *,
    project: Project,
    by: Any,
    actor: str,
    name: str = "",
    tags: dict[str, str] | None = None,
    start_time: int = 0,
    user_id: str = "",
    job: Run | None = None,
) -> Run:
    """Record a run that a client executes somewhere; it is running from now on.

    Args:
        project: where it belongs; its first run makes it active.
        by: the person whose token the client has, None for one who is gone.
        actor: how the timeline names who made it.
        name: may be empty, then one is made up; cut at 200 characters.
        tags: written with it; `mlflow.parentRunId` nests it below another run of the project.
        start_time: ms since 1970 UTC by the client's clock, 0 for unknown.
        user_id: how the client calls its user.
        job: the managed run whose token made it.

    Raises: Conflict when the project is archived, or the job has ended.
    """
    activate_project(project=project)
    if job is not None and Run.objects.select_for_update(no_key=True).get(pk=job.pk).is_terminal:
        raise Conflict("The job has ended; it makes no more runs.")
    uid = new_run_uid()
    name = name or f"run-{uid[4:10]}"
    run = Run(
        uid=uid,
        project=project,
        name=name[:MAX_NAME],
        recipe="",
        executor="",
        is_managed=False,
        created_by=by,
        started_at=_moment(start_time),
    )
    run.save(force_insert=True)
    TelemetryCounter.objects.create(run=run)
    RunTracking.objects.create(run=run, start_time=start_time, user_id=user_id, job=job, parent=job)
    set_tags(run=run, tags={**(tags or {}), NAME_TAG: name})
    return transition(run=run, to=Status.RUNNING, actor=actor, user=by)


@transaction.atomic
def update_tracked(
    *,
    run: Run,
    by: Any,
    actor: str,
    status: ClientStatus | None = None,
    end_time: int | None = None,
    name: str = "",
) -> RunTracking:
    """Note what a client says of a run; what is None or empty stays.

    An external run ends by it, and runs again. A managed run keeps its status: its scheduler decides. `end_time` is ms
    since 1970 UTC and shown to clients as it came; the run itself ends by the hub's clock, by which its history is
    kept. Returns the tracked fields; `run` is brought up to date.

    Raises: StatusChanged when two clients end the run at the same moment.
    """
    tracking = tracking_of(run)
    if status is not None:
        tracking.client_status = status
    if end_time is not None:
        tracking.end_time = end_time
    tracking.save()
    if name:
        set_tags(run=run, tags={NAME_TAG: name})
    if status is not None and not run.is_managed and _move(run, status, by, actor) and end_time is None:
        tracking.end_time = milliseconds(timezone.now())  # not that of an end before this one
        tracking.save()
    return tracking


@transaction.atomic
def attach_client(*, attempt: Attempt) -> bool:
    """Note that a client of a managed run's trainer writes to the run; tell whether it is the first of this attempt."""
    tracking = tracking_of(attempt.run)
    if tracking.attempt_number == attempt.number:
        return False
    tracking.attempt_number = attempt.number
    tracking.client_status, tracking.end_time = ClientStatus.RUNNING, None
    tracking.save()
    return True


def tracking_of(run: Run) -> RunTracking:
    """Return the tracked fields of a run, locked in a transaction; made for a managed run that has none yet."""
    started = run.started_at or run.created_at
    values = {"start_time": milliseconds(started)}
    return RunTracking.objects.select_for_update().get_or_create(run=run, defaults=values)[0]


def _move(run: Run, status: ClientStatus, by: Any, actor: str) -> bool:
    """Bring the status of an external run to the client's word; tell whether that ended it."""
    run.refresh_from_db(fields=["status", "completed_at", "started_at"])
    if status not in ENDS:
        if status == ClientStatus.RUNNING and run.is_terminal:
            transition(run=run, to=Status.RUNNING, actor=actor, user=by, message="The client goes on with it.")
        return False
    to, reason = ENDS[status]
    if run.status == to:
        return False
    if run.status in TERMINAL:
        transition(run=run, to=Status.RUNNING, actor=actor, user=by, message="The client changed its word.")
    transition(run=run, to=to, reason=reason, actor=actor, user=by)
    return True


def end_external(*, run: Run, by: Any) -> Run:
    """End an external run because a person says so; whatever executes it is out of reach.

    Raises: IllegalTransition when it has ended.
    """
    with transaction.atomic():
        tracking = tracking_of(run)  # before the run, as in update_tracked: else the two may wait for each other
        transition(
            run=run,
            to=Status.CANCELLED,
            reason=Reason.CANCELLED,
            actor=by.get_username(),
            user=by,
            message="It is executed elsewhere, and was not stopped there.",
        )
        tracking.client_status = ClientStatus.KILLED
        tracking.end_time = milliseconds(timezone.now())
        tracking.save()
    return run


def end_externals(*, project: Project, by: Any, actor: str) -> None:
    """End the external runs of a project that go on, as killed. Managed runs stay. Call in a transaction."""
    Project.objects.select_for_update().get(pk=project.pk)  # before their rows, as where a run is nested or made
    for run in Run.objects.not_deleted().filter(project=project, is_managed=False).exclude(status__in=TERMINAL):
        update_tracked(run=run, by=by, actor=actor, status=ClientStatus.KILLED)


def _moment(ms: int) -> datetime | None:
    """Return the time of a client's clock, not after now; None for 0 and for what no calendar has."""
    if not 0 < ms <= MAX_TIME_MS:
        return None
    return min(datetime.fromtimestamp(ms / 1000, UTC), timezone.now())


def check_time(name: str, ms: int) -> int:
    """Return a time in ms since 1970 UTC. Raises: InvalidInput outside 1970 to 9999."""
    if not 0 <= ms <= MAX_TIME_MS:
        raise InvalidInput({name: ["Must be in milliseconds since 1970, up to the year 9999."]})
    return ms
