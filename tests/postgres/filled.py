"""Fills the database of a hub with something of everything, odd values among it; called in a process of the hub's."""

from __future__ import annotations

import math

import orjson

from artifacts.services import tag_artifact
from projects.models import Project, Role
from projects.services import update_project
from runs.deletion import delete_run
from runs.models import Attempt, Run
from runs.telemetry.append import append_lines, append_metrics
from runs.telemetry.fold import fold_run
from runs.telemetry.log_chunks import Lines
from tests.external import ODD, log_external_run
from tests.factories import Caller, add_member, new_artifact, new_attempt, new_project, new_run, new_user

STATUSES = ("queued", "starting", "running", "completed", "failed", "cancelled")
NUMBERS = {"tiny": 5e-324, "huge": 1e300, "whole": 1e22, "minus nothing": -0.0, "big": 2**62, "third": 1 / 3, "n": 1.0}
LINES = 1500


def fill() -> None:
    """Make people, projects, runs of every status, telemetry, artifacts, an external run and a deleted one."""
    person = new_user("mara é 🚀")
    project = new_project(by=person, name="مرحبا 🚀", tags=["a", "ü"], default_hyperparameters={"odd": ODD, **NUMBERS})
    add_member(project, "vera", Role.VIEWER)
    update_project(project=project, values={"name": "renamed 🚀"})
    odd = {"nested": {**NUMBERS, "list": [None, "é", {"z": 1, "a": 2}]}}
    for status in STATUSES:
        new_run(project, status=status, by=person, name=f"{status} 🚀", hyperparameters=odd)
    talk(new_attempt(project=project))
    artifact = new_artifact(Run.objects.get(status="completed"), name="checkpoint-é")
    tag_artifact(artifact=artifact, value="candidate", notes="why? 🚀", by=person)
    delete_run(run=new_run(project, status="failed", by=person), by=person)
    track(project)


def talk(attempt: Attempt) -> None:
    """Log lines and points: some folded, some in the inbox."""
    values = [math.nan, math.inf, -math.inf, -0.0, 5e-324, *(math.sin(number) for number in range(3000))]
    for sequence in range(1, 4):
        times = [10**15 + number for number in range(LINES)]
        texts = [f"line {number} é🚀\u202e" for number in range(LINES)]
        append_lines(attempt=attempt, sequence=sequence, lines=Lines(times, [1] * LINES, [0] * LINES, texts))
        steps = [2**62 + sequence, -5, *range(sequence * 10_000, sequence * 10_000 + len(values) - 2)]
        points = {"step": steps, "time": [10**12] * len(steps), "value": values}
        append_metrics(attempt=attempt, sequence=sequence, columns={"loss": points})
        if sequence == 2:
            fold_run(run_id=attempt.run_id, everything=True)


def track(project: Project) -> None:
    """Log what tracking clients log, through the protocol."""
    caller = Caller(project.created_by)
    caller.defaults["HTTP_HOST"] = "localhost"

    def post(route: str, body: dict[str, object]) -> dict[str, object]:
        answer = caller.call("POST", f"/mlflow/api/2.0/mlflow/{route}", body)
        assert answer.status_code == 200, answer.content
        return dict(orjson.loads(answer.content))

    log_external_run(post, project.uid, began_ms=10**12, steps=200, nested=2)
    post("registered-models/create", {"name": "a model é", "tags": [{"key": "k", "value": "ü"}]})
