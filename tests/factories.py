"""Small builders of rows for tests, through the services wherever there is one."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from artifacts.manifest import digest_of, total_bytes
from artifacts.models import Artifact, ArtifactState
from artifacts.services import prepare_resume
from artifacts.storage import store, store_of
from artifacts.uids import new_artifact_uid
from projects.models import Membership, Project, Role
from projects.services import create_project, create_token
from runs.attempts import attempt_token, claim_attempt, finish_attempt, open_attempt, record_start
from runs.models import Attempt, Run
from runs.services import cancel_run, create_run, queue_run

JSON = "application/json"
CHECKPOINT_FILES = {"model.bin": b"weights " * 100, "state/optimizer.bin": b"momentum"}
FAST = {"model_parameters": {"max_steps": 10}}


class Caller(Client):
    """Calls the API as a program does: with a person's token, and JSON both ways."""

    def __init__(self, user: Any = None, *, token: str = "") -> None:
        token = token or (create_token(user=user, name="tests")[1] if user else "")
        super().__init__(headers={"Accept": JSON, **({"Authorization": f"Bearer {token}"} if token else {})})

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        """Make one request; bytes go as they are, anything else as JSON. `Prefer` and others are keywords."""
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.generic(method, path, data, content_type=JSON, headers=named)


def new_user(username: str = "", **values: Any) -> Any:
    users = get_user_model().objects
    return users.create_user(username=username or f"person-{users.count()}", **values)


def new_project(*, by: Any = None, **values: Any) -> Project:
    return create_project(by=by or new_user(), values={"name": "a project", **values})


def add_member(project: Project, username: str, role: Role) -> Any:
    user = new_user(username)
    Membership.objects.create(project=project, user=user, role=role)
    return user


def new_run(project: Project | None = None, *, status: str = "queued", by: Any = None, **values: Any) -> Run:
    """A run of the simulation, brought to `status` by the services."""
    project = project or new_project()
    run = create_run(project=project, by=by or project.created_by, values={"name": "a run", **values})
    return _STEPS[status](run)


def new_attempt(run: Run | None = None, *, project: Project | None = None) -> Attempt:
    """The attempt of a run that its runner has claimed and whose trainer runs."""
    attempt = open_attempt(run=run or new_run(project), gpu_indexes=[])
    claim_attempt(attempt=attempt, claim=claim_body())
    record_start(attempt=attempt, trainer_pid=4711)
    attempt.run.refresh_from_db()
    return Attempt.objects.get(pk=attempt.pk)


def runner_of(attempt: Attempt) -> Caller:
    """A caller with the attempt's token."""
    return Caller(token=attempt_token(attempt.uid))


def claim_body(**changes: Any) -> dict[str, Any]:
    return {"instance": "runner-one", "host": "node-1", "pid": 4000, "boot_id": "boot", **changes}


def heartbeat_body(**changes: Any) -> dict[str, Any]:
    return {"phase": "training", "progress": 0.5, "sent_at_ms": now_ms(), **changes}


def exit_body(**changes: Any) -> dict[str, Any]:
    """The report of a trainer that finished well."""
    flags = dict.fromkeys(["was_stopped", "was_killed", "out_of_memory", "runner_died"], False)
    rest = {"signal": None, "problem": None, "message": "", "ended_at_ms": now_ms()}
    return {"exit_code": 0, **flags, **rest, **changes}


def now_ms() -> int:
    return int(timezone.now().timestamp() * 1000)


def _starting(run: Run) -> Run:
    open_attempt(run=run, gpu_indexes=[])
    return fresh(run)


def _running(run: Run) -> Run:
    new_attempt(run)
    return fresh(run)


def _cancelling(run: Run) -> Run:
    return cancel_run(run=_running(run), by=run.created_by)


def _ended(**report: Any) -> Any:
    def end(run: Run) -> Run:
        finish_attempt(attempt=new_attempt(run), report=exit_body(**report))
        return fresh(run)

    return end


def _cancelled(run: Run) -> Run:
    return cancel_run(run=run, by=run.created_by)


_STEPS = {
    "queued": lambda run: run,
    "starting": _starting,
    "running": _running,
    "cancelling": _cancelling,
    "completed": _ended(),
    "failed": _ended(exit_code=1),
    "cancelled": _cancelled,
}


def fresh(row: Any) -> Any:
    """Return the row as it is in the database now."""
    return type(row).objects.get(pk=row.pk)


def new_artifact(
    run: Run,
    *,
    files: dict[str, bytes] | None = None,
    type: str = "checkpoint",  # noqa: A002 - the model's own word
    name: str = "checkpoint-10",
    step: int | None = 10,
    is_directory: bool = True,
    state: str = ArtifactState.VERIFIED,
) -> Artifact:
    """A verified artifact whose bytes are in the store."""
    contents = CHECKPOINT_FILES if files is None else files
    manifest = [entry(file, content) for file, content in contents.items()]
    uid = new_artifact_uid(type)
    for index, content in enumerate(contents.values()):
        store().write(uid, index, [content], size_bytes=len(content), sha256=manifest[index]["sha256"])
    return Artifact.objects.create(
        uid=uid,
        run=run,
        attempt=run.attempts.last(),
        type=type,
        name=name,
        source=f"{type}s/{name}-{uid}",
        step=step,
        store=store().kind,
        path=f"trainhub://{run.project.uid}/{run.uid}/{uid}",
        is_directory=is_directory,
        size_bytes=total_bytes(manifest),
        manifest=manifest,
        digest=digest_of(manifest),
        state=state,
        verified_at=timezone.now(),
    )


def entry(name: str, content: bytes) -> Any:
    """Return a file's entry in a manifest."""
    return {"name": name, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def damage(artifact: Artifact, index: int = 0) -> str:
    """Change one stored byte, leaving the size as it is; returns the file's name."""
    path = store_of(artifact)._place(artifact.uid, index)
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    return artifact.manifest[index]["name"]


def lose(artifact: Artifact, index: int = 0) -> str:
    """Remove one stored file; returns its name."""
    store_of(artifact)._place(artifact.uid, index).unlink()
    return artifact.manifest[index]["name"]


def run_path(run: Run) -> str:
    return f"/projects/{run.project.uid}/runs/{run.uid}"


def artifact_path(artifact: Artifact) -> str:
    return f"{run_path(artifact.run)}/artifacts/{artifact.uid}"


def kinds(run: Run) -> list[str]:
    """Return the kinds of the run's events, oldest first."""
    return list(run.events.values_list("kind", flat=True))


def everything() -> dict[str, list[dict[str, Any]]]:
    """Return all rows of the domain, to compare before and after a refusal."""
    models = [model for app in ("projects", "runs", "artifacts") for model in apps.get_app_config(app).get_models()]
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in models}


def at_once(*jobs: Any) -> list[Any]:
    """Run the jobs in threads that start together, each with a connection of its own; return their results."""
    gate = threading.Barrier(len(jobs))

    def start(job: Any) -> Any:
        try:
            gate.wait(timeout=10)
            return job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(start, job) for job in jobs]]


def resume_run(*, checkpoint: Artifact, by: Any, values: dict[str, Any]) -> Run:
    """Queue a new run that continues from `checkpoint`, as API and page do."""
    return queue_run(run=prepare_resume(checkpoint=checkpoint, values=values), by=by)
