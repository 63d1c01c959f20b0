"""Public identifiers of artifacts: `ckpt_` for checkpoints, `art_` for everything else."""

from __future__ import annotations

from projects.uids import new_uid


def new_artifact_uid(artifact_type: str) -> str:
    """Return a new uid whose prefix fits the type."""
    return new_uid("ckpt" if artifact_type == "checkpoint" else "art")
