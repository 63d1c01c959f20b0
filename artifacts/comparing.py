"""Comparing an artifact with its manifest when somebody asks: at once, or by the scheduler where that takes long."""

from __future__ import annotations

from artifacts.keeping.removed import refuse_removed
from artifacts.models import Artifact, ArtifactState
from artifacts.verification import READ_AT_ONCE_BYTES, verify_artifact
from trainhub.errors import NotFound


def is_compared_later(artifact: Artifact) -> bool:
    """Tell whether comparing takes longer than a request may: the bytes are many, and in an object store."""
    return artifact.store != "file" and artifact.size_bytes > READ_AT_ONCE_BYTES


def compare_artifact(*, artifact: Artifact) -> bool:
    """Verify an artifact and return True; of a large one in an object store return False, and the scheduler does it.

    Such a one is `complete` until then. Raises: as `verify_artifact`.
    """
    if not is_compared_later(artifact):
        verify_artifact(artifact=artifact)
        return True
    refuse_removed(artifact)
    whole = Artifact.objects.filter(pk=artifact.pk).exclude(state__in=[ArtifactState.WRITING, ArtifactState.REMOVED])
    if not whole.update(state=ArtifactState.COMPLETE, damaged_file=""):
        raise NotFound("The artifact was removed, or is written again.")
    artifact.state, artifact.damaged_file = ArtifactState.COMPLETE, ""
    return False
