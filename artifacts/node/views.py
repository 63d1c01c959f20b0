"""How a runner hands over artifacts and fetches the checkpoint to resume from."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse, HttpRequest

from artifacts.manifest import is_safe_name, read_manifest
from artifacts.models import Artifact, ArtifactType
from artifacts.services import complete_artifact, missing_files, offer_artifact
from artifacts.storage import read_blocks, store
from runner.protocol import ArtifactOffer
from runs.models import Attempt
from runs.node import payloads
from runs.node.auth import body_of, node_endpoint
from trainhub.errors import Fenced, InvalidInput, NotFound


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
    return {"id": artifact.uid, "state": artifact.state, "missing": missing_files(artifact)}


def _own(attempt: Attempt, artifact_id: str) -> Artifact:
    if attempt.ended_at is not None:
        raise Fenced("The attempt has ended.")
    artifact: Artifact | None = Artifact.objects.filter(attempt=attempt, uid=artifact_id).first()
    if artifact is None:
        raise NotFound("This attempt has offered no such artifact.")
    return artifact


@node_endpoint("POST")
def offer(attempt: Attempt, request: HttpRequest) -> dict[str, Any]:
    """Record an artifact that is about to be sent."""
    return _answer(offer_artifact(attempt=attempt, offer=read_offer(body_of(request))))


@node_endpoint("PUT")
def upload(attempt: Attempt, request: HttpRequest, artifact_id: str, index: int) -> dict[str, Any]:
    """Store one file of an artifact, streamed."""
    artifact = _own(attempt, artifact_id)
    if index >= len(artifact.manifest):
        raise NotFound("The manifest has no such file.")
    entry = artifact.manifest[index]
    if index in missing_files(artifact):
        store().write(
            artifact.uid,
            index,
            read_blocks(request),
            size_bytes=entry["size_bytes"],
            sha256=entry["sha256"],
        )
    return {}


@node_endpoint("POST")
def complete(attempt: Attempt, request: HttpRequest, artifact_id: str) -> dict[str, Any]:  # noqa: ARG001
    """All files were sent."""
    return _answer(complete_artifact(artifact=_own(attempt, artifact_id)))


@node_endpoint("GET")
def resume_file(attempt: Attempt, request: HttpRequest, index: int) -> FileResponse:  # noqa: ARG001
    """Send one file of the checkpoint to resume from."""
    if attempt.ended_at is not None:
        raise Fenced("The attempt has ended.")
    checkpoint = attempt.resume_from
    if checkpoint is None or index >= len(checkpoint.manifest):
        raise NotFound("There is no such file to resume from.")
    try:
        return FileResponse(store().open(checkpoint.uid, index), content_type="application/octet-stream")
    except FileNotFoundError:
        raise NotFound("The file is missing in the store.") from None
