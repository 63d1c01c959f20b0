"""How a runner hands over artifacts and fetches the checkpoint to resume from."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import FileResponse, HttpRequest

from artifacts.direct import NOTHING_TO_DO, direct_store, join_parts, read_part, sign_download, sign_part
from artifacts.downloads import StoredFileResponse
from artifacts.manifest import is_safe_name, read_manifest
from artifacts.models import Artifact, ArtifactState, ArtifactType
from artifacts.services import complete_artifact, missing_files, offer_artifact
from artifacts.storage import read_blocks, store_of
from runner.protocol import ArtifactOffer
from runs.models import Attempt
from runs.node import payloads
from runs.node.auth import body_of, node_endpoint
from trainhub.errors import Conflict, Fenced, InvalidInput, NotFound
from trainhub.transfers import as_download, upload_place


def read_offer(body: dict[str, Any]) -> ArtifactOffer:
    """Check an ArtifactOffer. Raises: InvalidInput, TooLarge."""
    source = payloads.text(body, "source", longest=1000, shortest=1)
    if not is_safe_name(source):
        raise InvalidInput({"source": ["Must be a relative path of plain parts."]})
    limit = payloads.INT64_LIMIT - 1
    return {
        "type": payloads.one_of(body, "type", ArtifactType.values),
        "source": source,
        "name": payloads.text(body, "name", longest=255, shortest=1),
        "step": payloads.optional_whole(body, "step", low=0, high=limit),
        "is_directory": payloads.flag(body, "is_directory"),
        "files": read_manifest(body.get("files")),
    }


def _answer(artifact: Artifact) -> dict[str, Any]:
    answer = {"id": artifact.uid, "state": artifact.state, "missing": missing_files(artifact)}
    return answer | ({"part_size": settings.S3_PART_BYTES} if direct_store(artifact) else {})


def _own(attempt: Attempt, artifact_id: str) -> Artifact:
    if attempt.ended_at is not None:
        raise Fenced("The attempt has ended.")
    artifact: Artifact | None = Artifact.objects.filter(attempt=attempt, uid=artifact_id).first()
    if artifact is None:
        raise NotFound("This attempt has offered no such artifact.")
    return artifact


def _own_file(attempt: Attempt, artifact_id: str, index: int) -> Artifact:
    artifact = _own(attempt, artifact_id)
    if index >= len(artifact.manifest):
        raise NotFound("The manifest has no such file.")
    return artifact


@node_endpoint("POST")
def offer(attempt: Attempt, request: HttpRequest) -> dict[str, Any]:
    """Record an artifact that is about to be sent."""
    return _answer(offer_artifact(attempt=attempt, offer=read_offer(body_of(request))))


@node_endpoint("PUT")
def upload(attempt: Attempt, request: HttpRequest, artifact_id: str, index: int) -> dict[str, Any]:
    """Store one file of an artifact, streamed."""
    artifact = _own_file(attempt, artifact_id, index)
    files, number, entry = store_of(artifact), artifact.file_number(index), artifact.manifest[index]
    if artifact.state == ArtifactState.WRITING and not files.has(artifact.uid, number, entry["size_bytes"]):
        with upload_place():
            size_bytes, sha256 = entry["size_bytes"], entry["sha256"]
            files.write(artifact.uid, number, read_blocks(request), size_bytes=size_bytes, sha256=sha256)
    return {}


@node_endpoint("POST")
def part(attempt: Attempt, request: HttpRequest, artifact_id: str, index: int) -> dict[str, Any]:
    """Tell where a part of a file is to be put: at the object store, by a URL that is good for this part alone."""
    artifact = _own_file(attempt, artifact_id, index)
    wanted = read_part(body_of(request), artifact.manifest[index]["size_bytes"])
    files = direct_store(artifact)
    if files is None:
        raise Conflict("Files of this artifact go through the hub.")
    return dict(sign_part(files, artifact, index, wanted) if artifact.state == ArtifactState.WRITING else NOTHING_TO_DO)


@node_endpoint("POST")
def join(attempt: Attempt, request: HttpRequest, artifact_id: str, index: int) -> dict[str, Any]:  # noqa: ARG001
    """Make a file of the parts that were put."""
    artifact = _own_file(attempt, artifact_id, index)
    files = direct_store(artifact)
    is_open = files is not None and artifact.state == ArtifactState.WRITING
    return {"missing": join_parts(files, artifact, index) if files and is_open else []}


@node_endpoint("POST")
def complete(attempt: Attempt, request: HttpRequest, artifact_id: str) -> dict[str, Any]:  # noqa: ARG001
    """All files were sent."""
    return _answer(complete_artifact(artifact=_own(attempt, artifact_id)))


def _resume_source(attempt: Attempt, index: int) -> Artifact:
    if attempt.ended_at is not None:
        raise Fenced("The attempt has ended.")
    checkpoint = attempt.resume_from
    if checkpoint is None or index >= len(checkpoint.manifest):
        raise NotFound("There is no such file to resume from.")
    return checkpoint


@node_endpoint("GET")
def resume_file(attempt: Attempt, request: HttpRequest, index: int) -> FileResponse:  # noqa: ARG001
    """Send one file of the checkpoint to resume from."""
    checkpoint = _resume_source(attempt, index)
    try:
        return as_download(lambda: StoredFileResponse(checkpoint, index, content_type="application/octet-stream"))
    except FileNotFoundError:
        raise NotFound("The file is missing in the store.") from None


@node_endpoint("POST")
def resume_link(attempt: Attempt, request: HttpRequest, index: int) -> dict[str, Any]:  # noqa: ARG001
    """Tell where the object store has one file of the checkpoint to resume from."""
    checkpoint = _resume_source(attempt, index)
    files = direct_store(checkpoint)
    return {"url": sign_download(files, checkpoint, index) if files else None, "headers": {}}
