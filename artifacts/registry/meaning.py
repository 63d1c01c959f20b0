"""What aliases and stages of registered versions say about a checkpoint, in the hub's own tags."""

from __future__ import annotations

from artifacts.models import Artifact, ModelAlias, ModelVersion, Stage, TagValue

TAG_OF_ALIAS = {"release": TagValue.RELEASE, "candidate": TagValue.CANDIDATE}
TAG_OF_STAGE = {
    Stage.STAGING: TagValue.CANDIDATE,
    Stage.PRODUCTION: TagValue.RELEASE,
    Stage.ARCHIVED: TagValue.ARCHIVED,
}


def tags_said(artifact: Artifact) -> set[TagValue]:
    """Return the tags that aliases and stages of the checkpoint's versions stand for. Two queries."""
    versions = ModelVersion.objects.kept().filter(artifact=artifact)
    stages = versions.order_by().values_list("stage", flat=True)
    aliases = ModelAlias.objects.filter(version__in=versions).values_list("alias", flat=True)
    said = {TAG_OF_STAGE.get(Stage(stage)) for stage in stages} | {TAG_OF_ALIAS.get(alias) for alias in aliases}
    return {tag for tag in said if tag is not None}


def unsay(artifact: Artifact, value: TagValue) -> None:
    """Take the aliases and stages that stand for a tag off the checkpoint's versions."""
    aliases = [alias for alias, tag in TAG_OF_ALIAS.items() if tag == value]
    stages = [stage for stage, tag in TAG_OF_STAGE.items() if tag == value]
    versions = ModelVersion.objects.kept().filter(artifact=artifact)
    ModelAlias.objects.filter(version__in=versions, alias__in=aliases).delete()
    versions.filter(stage__in=stages).update(stage=Stage.NONE)
