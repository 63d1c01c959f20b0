"""What can no longer be done with a checkpoint whose bytes the project's rule has removed."""

from __future__ import annotations

from artifacts.models import Artifact, ArtifactState
from trainhub.api.renderers import api_time
from trainhub.errors import Conflict, Removed

_SAID = "The checkpoint was removed by the project's rule for checkpoints"


def refuse_removed(artifact: Artifact) -> None:
    """Raise Conflict for an artifact whose bytes were removed: it is not tagged, verified, registered, resumed from."""
    if artifact.state == ArtifactState.REMOVED:
        raise Conflict(f"{_SAID}: its bytes are gone.", state=artifact.state, removed_at=api_time(artifact.removed_at))


def refuse_removed_bytes(artifact: Artifact) -> None:
    """Raise Removed (410) for an artifact whose bytes were removed and are asked for."""
    if artifact.state == ArtifactState.REMOVED:
        raise Removed(f"{_SAID}.", removed_at=api_time(artifact.removed_at))
