"""The files of an artifact as its page lists them, and which of them are not in the store any more."""

from __future__ import annotations

from dataclasses import dataclass

from artifacts.models import Artifact, ArtifactState
from artifacts.previews.choosing import is_previewed
from artifacts.storage import store_of

SHOWN_FILES = 200


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An entry of the manifest; `is_there` tells whether the store has it with its full size."""

    index: int
    name: str
    size_bytes: int
    sha256: str
    is_there: bool
    is_previewed: bool


def list_files(artifact: Artifact) -> list[StoredFile]:
    """Return the first SHOWN_FILES of the manifest; the store is looked into, no byte is read.

    Of an artifact that was removed no file is there, whether its bytes are gone already or will be soon.
    """
    shown = artifact.manifest[:SHOWN_FILES]
    sizes = {artifact.file_number(index): entry["size_bytes"] for index, entry in enumerate(shown)}
    is_removed = artifact.state == ArtifactState.REMOVED
    missing = set(sizes if is_removed else store_of(artifact).missing(artifact.uid, sizes))
    return [
        StoredFile(
            index=index,
            name=entry["name"],
            size_bytes=entry["size_bytes"],
            sha256=entry["sha256"],
            is_there=artifact.file_number(index) not in missing,
            is_previewed=is_previewed(entry["name"]),
        )
        for index, entry in enumerate(shown)
    ]
