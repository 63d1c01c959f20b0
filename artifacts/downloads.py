"""Sending artifacts as attachments that no browser renders: streamed, or fetched from the object store itself."""

from __future__ import annotations

import mimetypes
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.http import FileResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from artifacts.direct import direct_store, sign_download
from artifacts.keeping.removed import refuse_removed_bytes
from artifacts.models import Artifact, ArtifactState
from artifacts.storage import BLOCK_BYTES, StoredBytes, store_of
from trainhub.errors import ArtifactDamaged, NotFound
from trainhub.transfers import SHORT_WAIT_SECONDS, as_download

BINARY = "application/octet-stream"
REPLACED_AT_MOST = 3  # times that a file is looked up anew
_HARMLESS = {
    *("text/plain", "text/csv", "application/json", "application/zip", "application/gzip"),
    *("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"),
}


class StoredFileResponse(FileResponse):
    """One file of an artifact, streamed. Making it raises FileNotFoundError, StoreUnavailable."""

    block_size = 256 * 1024  # where the system cannot send a file by itself

    def __init__(self, artifact: Artifact, index: int, **options: Any) -> None:
        super().__init__(_open(artifact, index), **options)
        self["Content-Length"] = str(artifact.manifest[index]["size_bytes"])


def send_file(artifact: Artifact, index: int, *, may_redirect: bool = True) -> HttpResponseBase:
    """Return one file of the manifest; a redirect to the object store that has it, if the caller takes one.

    Raises: NotFound, ArtifactDamaged (409) when it is known to be damaged, Removed (410) when the project's rule for
    checkpoints removed it, TooBusy (503).
    """
    if index >= len(artifact.manifest):
        raise NotFound("The artifact has no such file.")
    name = f"{artifact.uid}-{artifact.manifest[index]['name'].rsplit('/', 1)[-1]}"
    files = direct_store(artifact) if may_redirect else None
    if files is None:
        return _send(artifact, index, filename=name, content_type=BINARY)
    _refuse_damaged(artifact, [index])
    disposition = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    response = HttpResponseRedirect(sign_download(files, artifact, index, disposition=disposition, kind=BINARY))
    response["Cache-Control"] = "no-store"
    return response


def send_to_client(find: Callable[[], tuple[Artifact, int]]) -> FileResponse:
    """Return a file to a program that asked for it by its path, under its own name and type.

    `find` looks it up; again where the file was replaced between the look and the opening of its bytes. A short while
    is waited for a place. Raises: what `find` raises, and as `send_file` does.
    """
    for _ in range(REPLACED_AT_MOST):
        artifact, index = find()
        filename = artifact.manifest[index]["name"].rsplit("/", 1)[-1]
        kind = _content_type(filename)
        try:
            return _send(artifact, index, filename=filename, content_type=kind, wait_seconds=SHORT_WAIT_SECONDS)
        except ArtifactDamaged:
            if not artifact.is_from_client or artifact.state == ArtifactState.CORRUPT:
                raise
    raise _is_missing(filename)


def _content_type(filename: str) -> str:
    """Return the type that a name tells, where no browser executes anything of such a type."""
    kind = mimetypes.guess_type(filename)[0] or ""
    is_harmless = kind in _HARMLESS or kind.startswith(("audio/", "video/"))
    return kind if is_harmless else BINARY


def _open(artifact: Artifact, index: int) -> StoredBytes:
    """Open a file; where it is by now, if it is not where it was. Raises: FileNotFoundError, NotFound."""
    try:
        return store_of(artifact).open(artifact.uid, artifact.file_number(index))
    except FileNotFoundError:
        _look_again(artifact)
        return store_of(artifact).open(artifact.uid, artifact.file_number(index))


def _look_again(artifact: Artifact) -> None:
    """Read anew where the bytes are, as they may have been moved or removed meanwhile. Raises: NotFound."""
    try:
        artifact.refresh_from_db(fields=["store", "state", "damaged_file", "removed_at"])
    except Artifact.DoesNotExist:
        raise NotFound("The artifact was removed.") from None


def _send(artifact: Artifact, index: int, *, filename: str, content_type: str, wait_seconds: float = 0) -> FileResponse:
    _refuse_damaged(artifact, [index])
    try:
        response = as_download(
            lambda: StoredFileResponse(
                artifact, index, as_attachment=True, filename=filename, content_type=content_type
            ),
            wait_seconds=wait_seconds,
        )
    except FileNotFoundError:
        _refuse_damaged(artifact, [index])
        raise _is_missing(artifact.manifest[index]["name"]) from None
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def send_whole(artifact: Artifact, *, may_redirect: bool = True) -> HttpResponseBase:
    """Return a single file as `send_file` does, a folder as a tar stream. Raises as `send_file` does."""
    if not artifact.is_directory and len(artifact.manifest) == 1:
        return send_file(artifact, 0, may_redirect=may_redirect)
    _refuse_damaged(artifact, range(len(artifact.manifest)))
    response = as_download(lambda: StreamingHttpResponse(_tar_blocks(artifact), content_type="application/x-tar"))
    response["Content-Disposition"] = f'attachment; filename="{artifact.uid}.tar"'
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def _refuse_damaged(artifact: Artifact, indexes: Iterable[int]) -> None:
    """Raise ArtifactDamaged before the first byte is sent; afterwards only a broken stream could tell.

    Removed when it was, NotFound when it is gone.
    """
    entries = {artifact.file_number(index): artifact.manifest[index] for index in indexes}
    sizes = {number: entry["size_bytes"] for number, entry in entries.items()}
    refuse_removed_bytes(artifact)
    if artifact.state == ArtifactState.CORRUPT:
        raise ArtifactDamaged(f"{artifact.damaged_file or 'A file'} is damaged.", file=artifact.damaged_file)
    missing = store_of(artifact).missing(artifact.uid, sizes)
    if missing:
        _look_again(artifact)
        refuse_removed_bytes(artifact)
        missing = store_of(artifact).missing(artifact.uid, sizes)
    if missing:
        raise _is_missing(entries[missing[0]]["name"])


def _is_missing(name: str) -> ArtifactDamaged:
    return ArtifactDamaged(f"{name} is missing in the store or has another size.", file=name)


def _tar_blocks(artifact: Artifact) -> Iterator[bytes]:
    """Yield a tar of the artifact's files under its uid; a file that is missing ends the stream with an error."""
    for index, entry in enumerate(artifact.manifest):
        header = tarfile.TarInfo(f"{artifact.uid}/{entry['name']}")
        header.size, header.mode, header.mtime = entry["size_bytes"], 0o644, artifact.created_at.timestamp()
        yield header.tobuf(tarfile.PAX_FORMAT)
        with _open(artifact, index) as file:
            while block := file.read(BLOCK_BYTES):
                yield block
        yield b"\0" * (-entry["size_bytes"] % tarfile.BLOCKSIZE)
    yield b"\0" * (tarfile.BLOCKSIZE * 2)
