"""Sending artifacts: streamed, as attachments that no browser renders."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator

from django.http import FileResponse, StreamingHttpResponse

from artifacts.models import Artifact, ArtifactState
from artifacts.storage import BLOCK_BYTES, store
from trainhub.errors import ArtifactDamaged, NotFound


def send_file(artifact: Artifact, index: int) -> FileResponse:
    """Return one file of the manifest. Raises: NotFound, ArtifactDamaged (409) when it is known to be damaged."""
    if index >= len(artifact.manifest):
        raise NotFound("The artifact has no such file.")
    _refuse_damaged(artifact, [index])
    entry = artifact.manifest[index]
    file = store().open(artifact.uid, index)
    name = f"{artifact.uid}-{entry['name'].rsplit('/', 1)[-1]}"
    response = FileResponse(file, as_attachment=True, filename=name, content_type="application/octet-stream")
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def send_whole(artifact: Artifact) -> FileResponse | StreamingHttpResponse:
    """Return a single file as it is, a folder as a tar stream. Raises as `send_file` does."""
    if not artifact.is_directory and len(artifact.manifest) == 1:
        return send_file(artifact, 0)
    _refuse_damaged(artifact, range(len(artifact.manifest)))
    response = StreamingHttpResponse(_tar_blocks(artifact), content_type="application/x-tar")
    response["Content-Disposition"] = f'attachment; filename="{artifact.uid}.tar"'
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def _refuse_damaged(artifact: Artifact, indexes: Iterable[int]) -> None:
    """Raise ArtifactDamaged before the first byte is sent; afterwards only a broken stream could tell."""
    if artifact.state == ArtifactState.CORRUPT:
        raise ArtifactDamaged(f"{artifact.damaged_file} is damaged.", file=artifact.damaged_file)
    for index in indexes:
        name = artifact.manifest[index]["name"]
        if not store().has(artifact.uid, index, artifact.manifest[index]["size_bytes"]):
            raise ArtifactDamaged(f"{name} is missing in the store or has another size.", file=name)


def _tar_blocks(artifact: Artifact) -> Iterator[bytes]:
    """Yield a tar of the artifact's files under its uid; a file that is missing ends the stream with an error."""
    for index, entry in enumerate(artifact.manifest):
        header = tarfile.TarInfo(f"{artifact.uid}/{entry['name']}")
        header.size, header.mode, header.mtime = entry["size_bytes"], 0o644, artifact.created_at.timestamp()
        yield header.tobuf(tarfile.PAX_FORMAT)
        with store().open(artifact.uid, index) as file:
            while block := file.read(BLOCK_BYTES):
                yield block
        yield b"\0" * (-entry["size_bytes"] % tarfile.BLOCKSIZE)
    yield b"\0" * (tarfile.BLOCKSIZE * 2)
