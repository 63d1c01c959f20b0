"""Artifacts of runs and logged models: the `mlflow-artifacts:` proxy, listings, and single files.

Locations are made here and told to clients; a path that comes back only says whose file it is, which is checked against
the caller every time, and how the client calls it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from artifacts.downloads import send_to_client
from artifacts.manifest import MAX_SIZE_BYTES
from artifacts.models import LoggedModel
from artifacts.querysets import ArtifactQuerySet
from artifacts.storage import BodyCutOff, Readable, read_blocks
from artifacts.tracking.files import Sender, check_path, put_file
from artifacts.tracking.logged import put_model_file, source_of
from artifacts.tracking.removal import delete_files
from artifacts.tracking.tree import Entry, artifacts_of_model, artifacts_of_run, find_file, list_folder
from mlflow_api.callers import Caller, caller_of
from mlflow_api.endpoint import endpoint, refuse_method, tracking_view
from mlflow_api.errors import MlflowError, invalid, missing
from mlflow_api.fields import Fields
from mlflow_api.logged_models import check_active, find_model, model_uri
from mlflow_api.objects import is_deleted, run_info
from projects.models import Role
from runs.models import Run
from trainhub.errors import DomainError
from trainhub.transfers import SHORT_WAIT_SECONDS, upload_place


@dataclass(frozen=True)
class Target:
    """What a path of the proxy names: `path` in the tree of `rows`, which begins at `root`.

    `path` and `root` have no slash at either end; `root` is empty for a run. `model` is None for a run's own files.
    """

    rows: ArtifactQuerySet
    path: str
    root: str
    run: Run | None
    model: LoggedModel | None = None


def sender_of(caller: Caller) -> Sender:
    """Return who puts files, as the timeline names them."""
    return Sender(caller.name, caller.user)


def find_target(caller: Caller, location: str, *, role: Role = Role.VIEWER) -> Target:
    """Return what `<experiment>/<run>/artifacts/…` or `<experiment>/models/<model>/artifacts/…` names.

    For more than looking it must not be deleted. Raises: MlflowError (400, 403, 404).
    """
    check_path(location)
    parts = location.split("/")
    if len(parts) >= 4 and parts[1] == "models" and parts[3] == "artifacts":
        model = find_model(caller, parts[2], role=role)
        _check_experiment(model.project.uid, parts[0])
        if role != Role.VIEWER:
            check_active(model)
        root = source_of(model)
        return Target(artifacts_of_model(model), "/".join([root, *parts[4:]]), root, model.run, model)
    if len(parts) >= 3 and parts[2] == "artifacts":
        run = caller.open_run(parts[1]) if role == Role.EDITOR else caller.shown_run(parts[1])
        _check_experiment(run.project.uid, parts[0])
        if role != Role.VIEWER and is_deleted(run):
            raise invalid(f"The run {run.uid} must be in the 'active' state. Current state is deleted.")
        return Target(artifacts_of_run(run), "/".join(parts[3:]), "", run)
    raise missing("The path is not below the artifacts of a run or of a logged model.")


def _check_experiment(uid: str, given: str) -> None:
    if uid != given:
        raise missing(f"There is no such run or model in the experiment {given}.")


# --- One file -------------------------------------------------------------------------------------
@tracking_view
def proxy(request: HttpRequest, location: str) -> HttpResponseBase:
    """Store, send or remove a file; remove also a folder."""
    methods = {"PUT": _put, "GET": _send, "HEAD": _send, "DELETE": _delete}
    handle = methods.get(request.method or "")
    if handle is None:
        return refuse_method(methods)
    return handle(caller_of(request), request, location)


def _put(caller: Caller, request: HttpRequest, location: str) -> HttpResponse:
    size, body = read_file(request)
    blocks = iter(body)
    with upload_place(wait_seconds=SHORT_WAIT_SECONDS):
        try:
            _store(caller, location, blocks, size)
        except (MlflowError, DomainError):
            _read_on(blocks)
            raise
    return HttpResponse(b"{}", content_type="application/json")


def _store(caller: Caller, location: str, blocks: Iterable[bytes], size: int | None) -> None:
    target = find_target(caller, location, role=Role.EDITOR)
    if target.path == target.root:
        raise invalid("Invalid path: it names no file.")
    by = sender_of(caller)
    if target.model is not None:
        path = target.path[len(target.root) + 1 :]
        put_model_file(model=target.model, path=path, blocks=blocks, size_bytes=size, by=by)
    elif target.run is not None:
        put_file(run=target.run, path=target.path, blocks=blocks, size_bytes=size, by=by)


def _read_on(blocks: Iterator[bytes]) -> None:
    """Read what a refused client still sends: only then it hears why, and does not send it all again for minutes."""
    with suppress(BodyCutOff):
        for _ in blocks:
            pass


def read_file(request: HttpRequest) -> tuple[int | None, Iterable[bytes]]:
    """Return the size of the body, None where the client does not say, and its blocks as they arrive.

    Without a length Django reads nothing: a chunked body is taken from the server, which says where it ends.
    Raises: MlflowError (400); the blocks raise BodyCutOff (400) when the client goes away, or breaks the encoding.
    """
    declared = request.META.get("CONTENT_LENGTH", "")
    if declared:
        if not (declared.isascii() and declared.isdigit() and int(declared) <= MAX_SIZE_BYTES):
            raise invalid("Invalid Content-Length.")
        return int(declared), _blocks(request)
    if "HTTP_TRANSFER_ENCODING" not in request.META:
        return 0, ()
    if not request.META.get("wsgi.input_terminated"):
        raise invalid("A body of unknown length is not taken here; send Content-Length.")
    return None, _blocks(request.META["wsgi.input"])


def _blocks(stream: Readable) -> Iterator[bytes]:
    try:
        yield from read_blocks(stream)
    except Exception as error:  # each server has errors of its own for a client that breaks off
        raise BodyCutOff("The body broke off; nothing was kept.") from error


def _send(caller: Caller, request: HttpRequest, location: str) -> HttpResponseBase:  # noqa: ARG001 - as the others
    target = find_target(caller, location)
    if target.path == target.root:
        raise missing("The path names no file.")
    return send(target.rows, target.path)


def send(rows: ArtifactQuerySet, path: str) -> HttpResponseBase:
    """Return a file of a tree as an attachment; the web server leaves its bytes out for HEAD.

    Raises: MlflowError, DomainError.
    """
    return send_to_client(lambda: find_file(rows.all(), path))


def _delete(caller: Caller, request: HttpRequest, location: str) -> HttpResponse:  # noqa: ARG001 - as the others
    target = find_target(caller, location, role=Role.EDITOR)
    if target.run is not None and target.path:
        delete_files(run=target.run, path=target.path, groups=target.rows if target.model else None)
    elif target.run is not None:
        for entry in list_folder(target.rows, ""):
            delete_files(run=target.run, path=entry.path)
    return HttpResponse(b"{}", content_type="application/json")


@tracking_view
def get_artifact(request: HttpRequest) -> HttpResponseBase:
    """Send a file of a run by the id of the run and its path."""
    if request.method not in {"GET", "HEAD"}:
        return refuse_method({"GET": None, "HEAD": None})
    fields = Fields.of_query(request.GET)
    caller = caller_of(request)
    run = caller.run(fields.needed("run_id", "run_uuid"))
    return send(artifacts_of_run(run), fields.needed("path"))


# --- Listings -------------------------------------------------------------------------------------
def file_infos(entries: Iterable[Entry], root: str = "") -> list[dict[str, Any]]:
    """Return entries of a tree as clients read them, with paths relative to `root`."""
    cut = len(root) + 1 if root else 0
    return [
        {"path": entry.path[cut:], "is_dir": True}
        if entry.is_directory
        else {"path": entry.path[cut:], "is_dir": False, "file_size": entry.size_bytes}
        for entry in entries
    ]


@endpoint("GET", "mlflow-artifacts/artifacts")
def list_proxy(caller: Caller, fields: Fields) -> dict[str, Any]:
    """List a folder, with names relative to it; nothing where it is not there."""
    target = find_target(caller, fields.needed("path").rstrip("/"))
    return {"files": file_infos(list_folder(target.rows, target.path), target.path)}


@endpoint("GET", "mlflow/artifacts/list")
def list_run(caller: Caller, fields: Fields) -> dict[str, Any]:
    """List a folder of a run, with paths relative to the run's root. Everything is on the first page."""
    run = caller.run(fields.needed("run_id", "run_uuid"))
    entries = list_folder(artifacts_of_run(run), fields.text("path").rstrip("/"))
    return {"root_uri": run_info(run)["artifact_uri"], "files": file_infos(entries)}


@endpoint("GET", "mlflow/logged-models/<str:model_id>/artifacts/directories")
def list_model(caller: Caller, fields: Fields, model_id: str) -> dict[str, Any]:
    """List a folder of a logged model, with paths relative to the model's root."""
    model = find_model(caller, model_id)
    root = source_of(model)
    folder = fields.text("artifact_directory_path").strip("/")
    entries = list_folder(artifacts_of_model(model), f"{root}/{folder}" if folder else root)
    return {"root_uri": model_uri(model), "files": file_infos(entries, root)}


# --- What is not served ---------------------------------------------------------------------------
@endpoint("POST", "mlflow-artifacts/mpu/<path:rest>")
def multipart(caller: Caller, fields: Fields, rest: str) -> dict[str, Any]:  # noqa: ARG001 - refused to everybody
    """Refuse an upload in parts: a file of any size is one request, as server-info says."""
    raise MlflowError("NOT_IMPLEMENTED", "Files are uploaded in one request each.")


@endpoint("GET", "mlflow-artifacts/presigned/<path:rest>")
def presigned(caller: Caller, fields: Fields, rest: str) -> dict[str, Any]:  # noqa: ARG001 - refused to everybody
    """Refuse a signed URL: files are downloaded here, as server-info says."""
    raise MlflowError("NOT_IMPLEMENTED", "Files are downloaded through the tracking server.")
