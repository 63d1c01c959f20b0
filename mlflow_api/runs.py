"""Runs: made, read, renamed, ended, deleted and restored by clients."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F

from artifacts.tracking.checkpoints import complete_checkpoints_of
from artifacts.tracking.files import Sender
from mlflow_api.callers import Caller
from mlflow_api.endpoint import endpoint
from mlflow_api.errors import invalid
from mlflow_api.experiments import DEFAULT_ID, find_project
from mlflow_api.fields import Fields
from mlflow_api.keys import MAX_TAG_VALUE, check_key
from mlflow_api.objects import is_deleted, run_info, show_runs
from mlflow_api.rows import RowsOfRuns
from projects.models import ProjectStatus, Role
from runs.archiving import archive_run, restore_run
from runs.models import ClientStatus, Run, TelemetryCounter
from runs.telemetry.newest import catch_up
from runs.tracking.external import ENDS, attach_client, check_time, create_external_run, update_tracked
from runs.tracking.writing import NAME_TAG, PARENT_TAG, set_tags

MAX_USER = 255


def active_run(caller: Caller, fields: Fields) -> Run:
    """Return the run that a request writes to. Raises: MlflowError (404; 403; 400 for a deleted one)."""
    run = caller.run(fields.needed("run_id", "run_uuid"), role=Role.EDITOR)
    if is_deleted(run):
        raise invalid(f"The run {run.uid} must be in the 'active' state. Current state is deleted.")
    return run


def refresh(runs: list[Run]) -> None:
    """Bring the newest metric values of runs up to what was acknowledged: clients read what they just wrote."""
    if keys := [key for (key,) in _LAGGING.of([run.pk for run in runs])]:
        catch_up(run_ids=keys)


_LAGGING = RowsOfRuns(
    TelemetryCounter.objects.filter(metric_points__gt=F("newest_points"), run__metrics_removed_at=None), "run_id"
)


def read_tags(fields: Fields) -> dict[str, str]:
    """Return the tags of a request by key; values over 8,000 characters are cut. Raises: MlflowError (400)."""
    return {check_key(tag.needed("key")): tag.text("value")[:MAX_TAG_VALUE] for tag in fields.objects("tags")}


@endpoint("POST", "mlflow/runs/create", is_create=True)
def create(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Make an external run.

    With a job's token the first run that is not nested is the job's own: loggers that insist on a run of their own get
    the one that trainhub launched. Further ones are nested below it.
    """
    project = find_project(caller, fields.text("experiment_id") or DEFAULT_ID, role=Role.EDITOR)
    if project.status == ProjectStatus.ARCHIVED:
        raise invalid(f"The experiment {project.uid} must be in the 'active' state.")
    tags = read_tags(fields)
    name = fields.text("run_name")
    if name and tags.get(NAME_TAG, name) != name:
        raise invalid("Both 'run_name' and a 'mlflow.runName' tag were given, and they differ.")
    start_time = check_time("start_time", fields.whole("start_time") or 0)
    user_id = fields.text("user_id", most=MAX_USER)
    if caller.attempt is not None and PARENT_TAG not in tags and attach_client(attempt=caller.attempt):
        return {"run": _job_run(caller, caller.attempt.run, tags)}
    run = create_external_run(
        project=project,
        by=caller.user,
        actor=caller.name,
        name=name or tags.get(NAME_TAG, ""),
        tags=tags,
        start_time=start_time,
        user_id=user_id,
        job=caller.job,
    )
    return {"run": show_runs([run])[0]}


def _job_run(caller: Caller, job: Run, tags: dict[str, str]) -> dict[str, Any]:
    with transaction.atomic():
        set_tags(run=job, tags=tags)
    run = caller.run(job.uid)
    refresh([run])
    return show_runs([run])[0]


@endpoint("GET", "mlflow/runs/get")
def get(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Return a run with the newest value of each metric, its parameters and tags."""
    run = caller.shown_run(fields.needed("run_id", "run_uuid"))
    refresh([run])
    return {"run": show_runs([run])[0]}


@endpoint("POST", "mlflow/runs/update")
def update(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Take a client's word on status, end and name. An external run ends by it; a managed one by its scheduler."""
    run = active_run(caller, fields)
    end_time = fields.whole("end_time")
    if caller.attempt is not None and caller.attempt.run_id == run.pk:
        attach_client(attempt=caller.attempt)
    status = fields.choice("status", ClientStatus)
    update_tracked(
        run=run,
        by=caller.user,
        actor=caller.name,
        status=status,
        end_time=None if end_time is None else check_time("end_time", end_time),
        name=fields.text("run_name"),
    )
    if status in ENDS:
        complete_checkpoints_of(run=run, by=Sender(caller.name, caller.user))
    return {"run_info": run_info(caller.run(run.uid))}


@endpoint("POST", "mlflow/runs/delete")
def delete(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Archive a run; twice is fine. A run that goes on is ended first where a client alone makes it go on."""
    run = caller.run(fields.needed("run_id", "run_uuid"), role=Role.EDITOR)
    if run.archived_at is None:
        if not run.is_managed and not run.is_terminal:
            update_tracked(run=run, by=caller.user, actor=caller.name, status=ClientStatus.KILLED)
            run.refresh_from_db()
        archive_run(run=run, by=caller.user, actor=caller.name)
    return {}


@endpoint("POST", "mlflow/runs/restore")
def restore(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Take a run out of the archive; twice is fine."""
    run = caller.run(fields.needed("run_id", "run_uuid"), role=Role.EDITOR)
    if run.archived_at is not None:
        restore_run(run=run, by=caller.user, actor=caller.name)
    return {}
