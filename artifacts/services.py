"""What changes artifacts: offered, completed, verified, tagged; and resuming from them."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from artifacts.manifest import digest_of, total_bytes
from artifacts.models import Artifact, ArtifactState, ArtifactTag, ArtifactType, TagValue
from artifacts.storage import store
from artifacts.uids import new_artifact_uid
from runner.protocol import ArtifactOffer
from runs.attempts import lock_live
from runs.deletion import lock_kept
from runs.models import Attempt, Run
from runs.services import changed_values, prepare_run, queue_run
from trainhub.errors import ArtifactDamaged, Conflict, Fenced, InvalidInput, NotFound

logger = logging.getLogger(__name__)


def offer_artifact(*, attempt: Attempt, offer: ArtifactOffer) -> Artifact:
    """Record that a runner has a whole file or folder to send; asking again with the same source finds it.

    Raises: Fenced when the attempt has ended, Conflict when other files were recorded under this source.
    """
    if attempt.ended_at is not None:
        raise Fenced("The attempt has ended.")
    artifact = _find_offered(attempt, offer) or _record_offer(attempt, offer)
    if artifact.manifest == offer["files"]:
        return artifact
    if artifact.state != ArtifactState.WRITING:
        raise Conflict("Other files are recorded under this name already.")
    artifact.manifest = list(offer["files"])
    artifact.digest = digest_of(offer["files"])
    artifact.size_bytes = total_bytes(offer["files"])
    store().delete(artifact.uid)  # files of the earlier offer
    artifact.save(update_fields=["manifest", "digest", "size_bytes"])
    return artifact


def _find_offered(attempt: Attempt, offer: ArtifactOffer) -> Artifact | None:
    return Artifact.objects.filter(attempt=attempt, source=offer["source"]).first()


def _record_offer(attempt: Attempt, offer: ArtifactOffer) -> Artifact:
    uid = new_artifact_uid(offer["type"])
    try:
        with transaction.atomic():
            lock_live(attempt)
            return Artifact.objects.create(
                uid=uid,
                run=attempt.run,
                attempt=attempt,
                type=offer["type"],
                name=offer["name"],
                source=offer["source"],
                step=offer["step"],
                path=f"trainhub://{attempt.run.project.uid}/{attempt.run.uid}/{uid}",
                is_directory=offer["is_directory"],
                size_bytes=total_bytes(offer["files"]),
                manifest=list(offer["files"]),
                digest=digest_of(offer["files"]),
            )
    except IntegrityError:  # the same offer arrived twice at the same moment
        return Artifact.objects.get(attempt=attempt, source=offer["source"])


def missing_files(artifact: Artifact) -> list[int]:
    """Return the indexes of the files whose bytes are not in the store yet."""
    if artifact.state != ArtifactState.WRITING:
        return []
    files = store()
    return [
        index
        for index, entry in enumerate(artifact.manifest)
        if not files.has(artifact.uid, index, entry["size_bytes"])
    ]


def complete_artifact(*, artifact: Artifact) -> Artifact:
    """Make an artifact visible once all its files are stored; every file was hashed as it was written.

    Asking again changes nothing. Raises: Conflict naming how many files are missing, Fenced when the attempt ended
    meanwhile.
    """
    if artifact.state != ArtifactState.WRITING:
        return artifact
    missing = missing_files(artifact)
    if missing:
        raise Conflict(f"{len(missing)} files have not arrived.", missing=missing[:100])
    now = timezone.now()
    with transaction.atomic():
        if artifact.attempt is not None:
            lock_live(artifact.attempt)
        done = Artifact.objects.filter(pk=artifact.pk, state=ArtifactState.WRITING).update(
            state=ArtifactState.VERIFIED, verified_at=now
        )
        if done:
            artifact.run.events.create(
                at=now,
                kind=f"{artifact.type}_recorded",
                attempt=artifact.attempt,
                actor="runner",
                message=artifact.name,
                evidence={"artifact": artifact.uid, "size_bytes": artifact.size_bytes, "sha256": artifact.digest},
            )
    artifact.refresh_from_db()
    return artifact


def verify_artifact(*, artifact: Artifact) -> Artifact:
    """Hash the stored bytes again and note the result. Reads all of them: about 1 s for each GB.

    Raises: ArtifactDamaged (409) naming the first file that is missing or differs; the artifact is `corrupt` then.
    """
    damaged = _first_damaged(artifact)
    if damaged is None:
        if artifact.state == ArtifactState.CORRUPT:  # an operator has put the bytes back
            artifact.damaged_file = ""
        artifact.state = ArtifactState.VERIFIED
        artifact.verified_at = timezone.now()
        artifact.save(update_fields=["state", "verified_at", "damaged_file"])
        return artifact
    _note_damage(artifact, damaged)
    raise ArtifactDamaged(
        f"The stored bytes of {artifact.uid} are damaged: {damaged} is missing or does not match its SHA-256.",
        artifact=artifact.uid,
        file=damaged,
    )


def _first_damaged(artifact: Artifact) -> str | None:
    files = store()
    for index, entry in enumerate(artifact.manifest):
        try:
            is_whole = files.digest(artifact.uid, index) == entry["sha256"]
        except OSError:
            is_whole = False
        if not is_whole:
            return str(entry["name"])
    return None


def _note_damage(artifact: Artifact, file: str) -> None:
    with transaction.atomic():
        changed = Artifact.objects.filter(pk=artifact.pk).exclude(state=ArtifactState.CORRUPT)
        if changed.update(state=ArtifactState.CORRUPT, damaged_file=file[:500]):
            artifact.run.events.create(
                kind="artifact_damaged",
                actor="trainhub",
                message=f"{artifact.name}: {file}"[:1000],
                evidence={"artifact": artifact.uid, "file": file},
            )


def checkpoint_to_resume(*, run: Run, checkpoint_id: str) -> Artifact:
    """Return a checkpoint of `run` whose stored bytes were just compared with its manifest.

    Outside any transaction, as hashing takes about 1 s for each GB. Raises: NotFound when `run` has no such
    artifact, InvalidInput when it is no checkpoint, ArtifactDamaged (409) naming the damaged file.
    """
    checkpoint = Artifact.objects.whole().filter(run=run, uid=checkpoint_id).select_related("run__project").first()
    if checkpoint is None:
        raise NotFound("This run has no such artifact.")
    if checkpoint.type != ArtifactType.CHECKPOINT:
        raise InvalidInput({"source_artifact_id": ["Only a checkpoint can be resumed from."]})
    return verify_artifact(artifact=checkpoint)


def prepare_resume(*, checkpoint: Artifact, values: dict[str, Any]) -> Run:
    """Return a run, not stored yet, that continues from `checkpoint`, which the caller has just had verified.

    What `values` leaves out is taken over from the checkpoint's run; given parameters are laid over its own, name by
    name. Raises as `prepare_run` does.
    """
    run = checkpoint.run
    merged = {"name": f"{run.name[:190]} resumed", **changed_values(run, values)}
    return prepare_run(project=run.project, values=merged, resumed_from=checkpoint)


def resume_run(*, checkpoint: Artifact, by: Any, values: dict[str, Any]) -> Run:
    """Queue a new run that continues from `checkpoint`."""
    return queue_run(run=prepare_resume(checkpoint=checkpoint, values=values), by=by)


def tag_artifact(*, artifact: Artifact, value: TagValue, notes: str, by: Any) -> Artifact:
    """Mark a checkpoint; the same tag again replaces its notes, time and person.

    The timeline keeps every application. Raises: Conflict when the artifact is no checkpoint or damaged, NotFound when
    its run was deleted meanwhile.
    """
    if artifact.type != ArtifactType.CHECKPOINT:
        raise Conflict("Only checkpoints carry tags.", type=artifact.type)
    if artifact.state == ArtifactState.CORRUPT and value != TagValue.ARCHIVED:
        raise Conflict("The checkpoint is damaged.", state=artifact.state, file=artifact.damaged_file)
    now = timezone.now()
    with transaction.atomic():
        lock_kept(artifact.run_id)  # a tag keeps the run from being deleted
        ArtifactTag.objects.update_or_create(
            artifact=artifact, value=value, defaults={"notes": notes, "applied_at": now, "applied_by": by}
        )
        _note_tag(artifact, "tagged", value, notes, by)
    return artifact


def untag_artifact(*, artifact: Artifact, value: TagValue, by: Any) -> Artifact:
    """Take a tag off; the timeline remembers it. Raises: NotFound when it is not there."""
    with transaction.atomic():
        deleted, _ = artifact.tags.filter(value=value).delete()
        if not deleted:
            raise NotFound("The checkpoint does not carry this tag.")
        _note_tag(artifact, "untagged", value, "", by)
    return artifact


def _note_tag(artifact: Artifact, kind: str, value: TagValue, notes: str, by: Any) -> None:
    artifact.run.events.create(
        kind=kind,
        actor=by.get_username(),
        user=by,
        message=f"{value}: {artifact.name}"[:1000],
        evidence={"artifact": artifact.uid, "tag": value, "notes": notes},
    )


def collect_unfinished(*, older_than: timedelta = timedelta(hours=24)) -> int:
    """Remove artifacts whose upload was given up, with their files; returns how many."""
    given_up = Artifact.objects.filter(
        state=ArtifactState.WRITING, created_at__lt=timezone.now() - older_than, attempt__ended_at__isnull=False
    )
    count = 0
    for artifact in given_up:
        store().delete(artifact.uid)
        artifact.delete()
        count += 1
    return count
