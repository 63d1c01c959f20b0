"""Versions of registered models: made of checkpoints, described, staged, named by aliases, deleted."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from artifacts.keeping.removed import refuse_removed
from artifacts.models import Artifact, ArtifactState, ModelAlias, ModelVersion, RegisteredModel, Stage
from artifacts.registry.changing import assign_project, lock_model
from artifacts.registry.meaning import TAG_OF_ALIAS, TAG_OF_STAGE
from artifacts.registry.naming import check_alias, check_description, put_texts
from artifacts.registry.reach import check_reach
from artifacts.registry.tagging import put_tag, take_off_tags
from runs.deletion import lock_kept
from runs.querysets import RunQuerySet
from trainhub.errors import Conflict, InvalidInput, NotFound

ACTIVE_STAGES = (Stage.STAGING, Stage.PRODUCTION)


@transaction.atomic
def create_version(
    *,
    model: RegisteredModel,
    artifact: Artifact,
    source: str,
    by: Any,
    actor: str,
    description: str = "",
    tags: dict[str, str] | None = None,
    run_link: str = "",
) -> ModelVersion:
    """Register a checkpoint as the next version of a model, which belongs to the checkpoint's project from then on.

    Args:
        model: of that project, or of none yet.
        artifact: whole; its run and the run's project are loaded.
        source: where the client says it lies, up to 1,000 characters.
        by: the person whose token the client has, None for one who is gone.
        actor: how the timeline names who did it.
        description: up to 10,000 characters.
        tags: written with it.
        run_link: kept as it is, up to 500 characters.

    Raises: InvalidInput; NotFound when model, run or checkpoint are gone; NameTaken; Conflict when the checkpoint is
        damaged, removed by rule, or written again by its client.
    """
    locked = lock_model(model)
    lock_kept(artifact.run_id)  # what is registered keeps its run from being deleted
    _check_kept(artifact)
    if locked.project_id is None:
        assign_project(locked, artifact.run.project)
    elif locked.project_id != artifact.run.project_id:
        raise InvalidInput({"source": [f"The model {locked.name} belongs to another project than the checkpoint."]})
    newest = locked.versions.aggregate(newest=Max("number"))["newest"] or 0
    version = ModelVersion(
        model=locked,
        number=newest + 1,
        artifact=artifact,
        run=artifact.run,
        source=source,
        run_link=run_link,
        description=check_description(description),
        created_by=by,
    )
    put_texts(version, tags or {})
    version.save(force_insert=True)
    _touch(locked)
    artifact.run.events.create(
        kind="registered",
        actor=actor,
        user=by,
        message=f"{locked.name} version {version.number}: {artifact.name}"[:1000],
        evidence={"artifact": artifact.uid, "model": locked.name, "version": version.number},
    )
    return version


def _check_kept(artifact: Artifact) -> None:
    """Lock a checkpoint and look at it as it is now. Raises: NotFound, Conflict."""
    now = Artifact.objects.select_for_update().defer("manifest", "places").filter(pk=artifact.pk).first()
    if now is None:
        raise NotFound("The checkpoint was removed.")
    refuse_removed(now)
    if now.state == ArtifactState.CORRUPT:
        raise Conflict("The checkpoint is damaged.", state=now.state, file=now.damaged_file)
    if now.state == ArtifactState.WRITING:
        raise Conflict("The checkpoint is still being written.", state=now.state)


def _touch(*rows: RegisteredModel | ModelVersion) -> None:
    for row in rows:
        row.updated_at = timezone.now()
        row.save()


def _lock(version: ModelVersion) -> tuple[RegisteredModel, ModelVersion]:
    """Lock the model and return it with the version as it is now. Raises: NotFound when either is gone."""
    model = lock_model(version.model)
    found = model.versions.kept().select_related("artifact__run").filter(pk=version.pk).first()
    if found is None:
        raise NotFound(f"Model Version (name={model.name}, version={version.number}) not found")
    found.model = model
    return model, found


@transaction.atomic
def change_version(
    *,
    version: ModelVersion,
    description: str | None = None,
    tags: dict[str, str] | None = None,
    reach: RunQuerySet | None = None,
) -> ModelVersion:
    """Describe a version, or lay tags over its own; what is None stays.

    Raises: InvalidInput, NotFound; NotAllowed as `check_reach`.
    """
    model, found = _lock(version)
    check_reach(reach, found)
    if description is not None:
        found.description = check_description(description)
    put_texts(found, tags or {})
    _touch(found, model)
    return found


@transaction.atomic
def delete_version_tag(*, version: ModelVersion, key: str, reach: RunQuerySet | None = None) -> None:
    """Take a tag off a version; it may be gone already. Raises: NotFound; NotAllowed as `check_reach`."""
    _, found = _lock(version)
    check_reach(reach, found)
    if found.tags.pop(key, None) is not None:
        _touch(found)


@transaction.atomic
def move_to_stage(
    *,
    version: ModelVersion,
    stage: Stage,
    by: Any,
    actor: str,
    archive_existing: bool = False,
    reach: RunQuerySet | None = None,
) -> ModelVersion:
    """Bring a version into a stage; its checkpoint is tagged as the stage stands for.

    With `archive_existing` the other versions in that stage, Staging or Production, are archived. Raises: NotFound;
    InvalidInput for another stage with that; Conflict when the checkpoint cannot be tagged; NotAllowed as
    `check_reach`, also for a version that would be archived.
    """
    if archive_existing and stage not in ACTIVE_STAGES:
        known = ", ".join(ACTIVE_STAGES)
        raise InvalidInput({"archive_existing_versions": [f"{stage} is not an active stage; those are {known}."]})
    model, found = _lock(version)
    others: list[ModelVersion] = []
    if archive_existing:
        rows = model.versions.kept().filter(stage=stage).exclude(pk=found.pk)
        others = list(rows.select_related("artifact__run").order_by("number"))
    check_reach(reach, found, *others)
    for other in others:
        other.model = model
        _stage(other, Stage.ARCHIVED, by, actor)
    _stage(found, stage, by, actor)
    _touch(model)
    return found


def _stage(version: ModelVersion, stage: Stage, by: Any, actor: str) -> None:
    version.stage = stage
    _touch(version)
    take_off_tags(version.artifact, by=by, actor=actor)
    put_tag(version, TAG_OF_STAGE.get(stage), by=by, actor=actor)


@transaction.atomic
def set_alias(*, version: ModelVersion, alias: str, by: Any, actor: str, reach: RunQuerySet | None = None) -> None:
    """Let an alias point to a version, whatever it pointed to before; `release` and `candidate` tag the checkpoint.

    Raises: InvalidInput; NotFound; Conflict when the checkpoint cannot be tagged; NotAllowed as `check_reach`, also for
    the version that it pointed to before.
    """
    model, found = _lock(version)
    known = ModelAlias.objects.filter(model=model, alias=check_alias(alias)).select_related("version__artifact__run")
    before = known.first()
    check_reach(reach, found, *([before.version] if before else []))
    ModelAlias.objects.update_or_create(model=model, alias=alias, defaults={"version": found})
    if before is not None:
        take_off_tags(before.version.artifact, by=by, actor=actor)
    put_tag(found, TAG_OF_ALIAS.get(alias), by=by, actor=actor)
    _touch(model)


@transaction.atomic
def delete_alias(*, model: RegisteredModel, alias: str, by: Any, actor: str, reach: RunQuerySet | None = None) -> None:
    """Take an alias away; it may be gone already. Raises: NotFound; NotAllowed as `check_reach`."""
    locked = lock_model(model)
    found = ModelAlias.objects.filter(model=locked, alias=alias).select_related("version__artifact__run").first()
    if found is not None:
        check_reach(reach, found.version)
        artifact = found.version.artifact
        found.delete()
        take_off_tags(artifact, by=by, actor=actor)
        _touch(locked)


@transaction.atomic
def delete_version(*, version: ModelVersion, by: Any, actor: str) -> None:
    """Delete a version with its aliases, and take off the tags that they put on. Its number stays taken.

    Raises: NotFound.
    """
    model, found = _lock(version)
    found.aliases.all().delete()
    found.deleted_at = timezone.now()
    _touch(found, model)
    take_off_tags(found.artifact, by=by, actor=actor)
