"""Rows for the tests of telemetry, made directly."""

import secrets

from django.utils import timezone

from artifacts.models import Artifact, ArtifactType
from projects.models import Project
from runs.models import Attempt, Run
from runs.telemetry import append
from runs.telemetry.log_chunks import Lines
from runs.telemetry.newest import refresh_newest


def new_run(project=None, **values):
    project = project or Project.objects.create(name="telemetry")
    return Run.objects.create(project=project, name="a run", recipe="simulate", executor="local", **values)


def new_attempt(run=None, *, number=1, resume_from=None, **values):
    """An attempt that has begun; the ones before it have ended."""
    run = run or new_run()
    run.attempts.filter(ended_at=None).update(ended_at=timezone.now())
    return Attempt.objects.create(
        run=run,
        number=number,
        executor="local",
        token_digest=secrets.token_hex(32),
        resume_from=resume_from,
        **{"started_at": timezone.now(), **values},
    )


def new_checkpoint(run, step, **values):
    uid = f"ckpt_{secrets.token_hex(8)}"
    return Artifact.objects.create(
        uid=uid,
        run=run,
        type=ArtifactType.CHECKPOINT,
        name=uid,
        source=uid,
        step=step,
        path=f"trainhub://{uid}",
        **values,
    )


def end(attempt):
    Attempt.objects.filter(pk=attempt.pk).update(ended_at=timezone.now())


def line(time_us=0, text="step", level=1, stream=0):
    return time_us, level, stream, text


def append_lines(*, attempt, sequence, lines):
    """Lines as rows (time, level, stream, text) in one ingest call."""
    columns = Lines(*zip(*lines, strict=True)) if lines else Lines([], [], [], [])
    return append.append_lines(attempt=attempt, sequence=sequence, lines=columns)


def show_metrics(*, attempt, columns, sequence=1):
    """Points in one ingest call, and the newest values brought up to date as the scheduler does it."""
    append.append_metrics(attempt=attempt, sequence=sequence, columns=columns)
    refresh_newest(run_ids=[attempt.run_id])


def columns(*points):
    """Points (step, time, value) as the columns of an ingest call."""
    return {
        "step": [step for step, _, _ in points],
        "time": [time for _, time, _ in points],
        "value": [value for _, _, value in points],
    }
