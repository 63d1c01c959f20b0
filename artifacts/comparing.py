"""Comparing an artifact with its manifest when somebody asks: at once, or by the scheduler where that takes long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from artifacts.keeping.removed import refuse_removed
from artifacts.models import Artifact, ArtifactState
from artifacts.verification import READ_AT_ONCE_BYTES, verify_artifact
from trainhub.errors import NotFound, TooBusy

# Hashing holds a thread for about 1 s for each GB: beyond so many at a time in one process callers are asked to come
# back, so that those who compare large checkpoints never take all threads. The scheduler and commands take no place.
PLACES = 2
_places = threading.BoundedSemaphore(PLACES)


@contextmanager
def comparing_place() -> Iterator[None]:
    """Hold one of the places for hashing within requests. Raises: TooBusy (503) when all are taken."""
    if not _places.acquire(blocking=False):
        raise TooBusy("Too many artifacts are being compared with their hashes; try again shortly.")
    try:
        yield
    finally:
        _places.release()


def is_compared_later(artifact: Artifact) -> bool:
    """Tell whether comparing takes longer than a request may: the bytes are many, and in an object store."""
    return artifact.store != "file" and artifact.size_bytes > READ_AT_ONCE_BYTES


def compare_artifact(*, artifact: Artifact) -> bool:
    """Verify an artifact and return True; of a large one in an object store return False, and the scheduler does it.

    Such a one is `complete` until then. Raises: as `verify_artifact` and `comparing_place`.
    """
    if not is_compared_later(artifact):
        with comparing_place():
            verify_artifact(artifact=artifact)
        return True
    refuse_removed(artifact)
    whole = Artifact.objects.filter(pk=artifact.pk).exclude(state__in=[ArtifactState.WRITING, ArtifactState.REMOVED])
    if not whole.update(state=ArtifactState.COMPLETE, damaged_file=""):
        raise NotFound("The artifact was removed, or is written again.")
    artifact.state, artifact.damaged_file = ArtifactState.COMPLETE, ""
    return False
