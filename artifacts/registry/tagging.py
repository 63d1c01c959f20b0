"""Keeps the tags of checkpoints in step with the aliases and stages of registered versions."""

from __future__ import annotations

from typing import Any

from artifacts.models import Artifact, ArtifactType, ModelVersion, TagValue
from artifacts.registry.meaning import tags_said
from artifacts.services import tag_artifact, untag_artifact


def put_tag(version: ModelVersion, value: TagValue | None, *, by: Any, actor: str) -> None:
    """Tag the version's checkpoint, unless it carries the tag already; None puts nothing on.

    The notes are the version's description, else where it is registered. Call in a transaction. Raises: as
    `tag_artifact`.
    """
    artifact = version.artifact
    if value is None or artifact is None or artifact.tags.filter(value=value).exists():
        return
    if value == TagValue.ARCHIVED and artifact.type != ArtifactType.CHECKPOINT:
        return  # a version may be laid aside whatever it is; only checkpoints can be told so
    notes = version.description or f"Registered as {version.model.name} version {version.number}"
    tag_artifact(artifact=artifact, value=value, notes=notes, by=by, actor=actor, is_from_registry=True)


def take_off_tags(artifact: Artifact | None, *, by: Any, actor: str) -> None:
    """Take off the tags that the registry put on and that no alias or stage stands for any more.

    Call in a transaction.
    """
    if artifact is None:
        return
    put_on = set(artifact.tags.filter(is_from_registry=True).values_list("value", flat=True))
    for value in sorted(put_on - tags_said(artifact)):
        untag_artifact(artifact=artifact, value=TagValue(value), by=by, actor=actor)
