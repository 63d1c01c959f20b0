"""What the hostile tests share: a world with something in it, and a look at all of it."""

from __future__ import annotations

import threading

import pytest
from django.test import Client

from runs.telemetry.append import append_metrics
from tests.factories import Caller, artifact_path, new_artifact, new_attempt, run_path
from tests.runs.telemetry.builders import append_lines
from trainhub import transfers


@pytest.fixture
def checkpoint(project):
    """A checkpoint of a running run that has a log and metrics."""
    attempt = new_attempt(project=project)
    append_lines(attempt=attempt, sequence=1, lines=[(1_000_000, 1, 0, "a line")])
    append_metrics(attempt=attempt, sequence=1, columns={"loss": {"step": [1], "time": [1], "value": [1.0]}})
    return new_artifact(attempt.run)


@pytest.fixture
def as_anybody(operator, checkpoint) -> Caller:
    """The operator's program, which may do everything; an error in the hub is an answer here, not an exception."""
    caller = Caller(operator)
    caller.raise_request_exception = False
    return caller


@pytest.fixture
def looked_at(operator, checkpoint, as_anybody):
    """Return a function that asks for every list, detail and page, and returns the statuses that are not 200."""
    browser = Client(headers={"Accept": "text/html"}, raise_request_exception=False)
    browser.force_login(operator)
    run, project = checkpoint.run, checkpoint.run.project
    answers = [
        "/projects",
        "/runs",
        "/tokens",
        f"/projects/{project.uid}",
        f"/projects/{project.uid}/runs",
        f"/projects/{project.uid}/members",
        f"/projects/{project.uid}/versions",
        run_path(run),
        *(f"{run_path(run)}/{part}" for part in ("events", "attempts", "logs", "metrics", "artifacts")),
        artifact_path(checkpoint),
    ]
    pages = ["/", "/ui/projects", f"/ui/projects/{project.uid}", "/ui/runs", f"/ui/runs/{run.uid}", run_path(run)]

    def look() -> dict[str, int]:
        statuses = {path: as_anybody.call("GET", path).status_code for path in answers}
        statuses |= {f"page {path}": browser.get(path).status_code for path in pages}
        return {path: status for path, status in statuses.items() if status != 200}

    return look


@pytest.fixture
def writes(checkpoint):
    """Return method and path of every call that reads a body, by a name."""
    project, run = f"/projects/{checkpoint.run.project.uid}", run_path(checkpoint.run)
    return {
        "project": ("POST", "/projects"),
        "change": ("PATCH", project),
        "member": ("POST", f"{project}/members"),
        "token": ("POST", "/tokens"),
        "run": ("POST", f"{project}/runs"),
        "repeat": ("POST", f"{run}/repeat"),
        "resume": ("POST", f"{run}/resume?source_artifact_id={checkpoint.uid}"),
        "tag": ("POST", f"{artifact_path(checkpoint)}/tag"),
    }


@pytest.fixture(autouse=True)
def free_transfer_places(monkeypatch) -> None:
    """Let transfers never run out of places: one test makes hundreds of requests and reads no download to its end."""
    for name in ("_uploads", "_downloads"):
        monkeypatch.setattr(transfers, name, threading.BoundedSemaphore(100_000))
