"""Rows of runs and attempts in any state, made directly."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from django.db import connections
from django.utils import timezone

from artifacts.models import Artifact, ArtifactType
from projects.models import Project
from runs.lifecycle import LIVE, TERMINAL, Reason, Status
from runs.models import Attempt, Run, TelemetryCounter
from runs.registry import recipe_to_run

REASONS = {Status.COMPLETED: "finished", Status.FAILED: "trainer_failed", Status.CANCELLED: "cancelled"}


def new_run(status=Status.QUEUED, *, gpus=0, nodes=1, age_seconds=0.0, **values):
    """A run that waits, or stands anywhere else. `age_seconds`: how long it has been in that status."""
    since = timezone.now() - timedelta(seconds=age_seconds)
    project = values.pop("project", None) or Project.objects.create(name="project")
    ended = {"completed_at": since, "reason": REASONS[status]} if status in TERMINAL else {}
    snapshot = {"reserves_compute": True, "grace_seconds": 10, **values.pop("recipe_snapshot", {})}
    run = Run.objects.create(
        project=project,
        **{"name": "run", "recipe": "simulate", "executor": "local", "status": status, **ended, **values},
        recipe_snapshot=snapshot,
        recipe_digest=recipe_to_run("simulate").digest,
        compute={"node_count": nodes, "gpus_per_node": gpus},
        queued_at=since,
        status_changed_at=since,
        started_at=since if status in {Status.RUNNING, Status.CANCELLING} else None,
        cancel_requested_at=since if status == Status.CANCELLING else None,
    )
    TelemetryCounter.objects.create(run=run)
    return run


def new_attempt(run, *, age_seconds=0.0, **values):
    """The run's next attempt: submitted, claimed and heard of, unless `values` say otherwise."""
    since = timezone.now() - timedelta(seconds=age_seconds)
    number = run.attempts.count() + 1
    moments = dict.fromkeys(("created_at", "submitted_at", "claimed_at", "started_at", "heartbeat_at"), since)
    return Attempt.objects.create(
        run=run,
        number=number,
        executor=run.executor,
        token_digest=secrets.token_hex(32),
        gpu_count=len(values.get("gpu_indexes", [])),
        **{**moments, "claimed_by": "a runner", "phase": "training", "handle": f"job{run.pk}_{number}", **values},
    )


def new_live_run(status=Status.RUNNING, *, attempt=None, **values):
    """A run with a live attempt; returns the attempt, whose `run` is the run."""
    assert status in LIVE
    return new_attempt(new_run(status, **values), **(attempt or {}))


def new_checkpoint(run, step, *, state="verified"):
    uid = f"ckpt_{secrets.token_hex(8)}"
    return Artifact.objects.create(
        uid=uid,
        run=run,
        type=ArtifactType.CHECKPOINT,
        name=f"step-{step}",
        source=uid,
        step=step,
        path=uid,
        state=state,
    )


def exit_report(**changes):
    """A runner's report of a trainer that ended well."""
    report = {
        "exit_code": 0,
        "signal": None,
        "was_stopped": False,
        "was_killed": False,
        "out_of_memory": False,
        "runner_died": False,
        "problem": None,
        "message": "",
        "ended_at_ms": 0,
    }
    return {**report, **changes}


def ended(run):
    """What people see of a run's end."""
    run.refresh_from_db()
    return Status(run.status), Reason(run.reason) if run.reason else None


def kinds(run):
    """The kinds of the run's events in order."""
    return list(run.events.values_list("kind", flat=True))


def at_once(*jobs):
    """Run the jobs at the same moment, each with a connection of its own; return what they returned or raised."""
    barrier = threading.Barrier(len(jobs))

    def run(job):
        try:
            barrier.wait(10)
            return job()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(run, job) for job in jobs]]
