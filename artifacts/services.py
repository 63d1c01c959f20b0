"""What changes artifacts: offered, completed, verified, tagged; and resuming from them."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from artifacts.comparing import comparing_place
from artifacts.keeping.removed import refuse_removed
from artifacts.manifest import digest_of, total_bytes
from artifacts.models import Artifact, ArtifactState, ArtifactTag, ArtifactType, TagValue
from artifacts.registry.meaning import unsay
from artifacts.storage import StoreUnavailable, store, store_of, stores
from artifacts.tracking.checkpoints import drop_unrecorded
from artifacts.tracking.files import is_built_on
from artifacts.uids import new_artifact_uid
from artifacts.verification import READ_AT_ONCE_BYTES, as_it_is_now, check_sizes, compare_mended, verify_artifact
from runner.protocol import ArtifactOffer
from runs.attempts import lock_live
from runs.deletion import lock_kept
from runs.models import Attempt, Run
from runs.services import changed_values, prepare_run
from trainhub.errors import ArtifactDamaged, Conflict, Fenced, InvalidInput, NotFound

logger = logging.getLogger(__name__)


def offer_artifact(*, attempt: Attempt, offer: ArtifactOffer) -> Artifact:
    """Record that a runner has a whole file or folder to send; asking again with the same source finds it.

    Raises: Fenced when the attempt has ended, Conflict when other files were recorded under this source, be they
    incomplete and something built on them: a damaged one is sent again, not replaced.
    """
    if attempt.ended_at is not None:
        raise Fenced("The attempt has ended.")
    artifact = _find_offered(attempt, offer) or _record_offer(attempt, offer)
    if artifact.manifest == offer["files"]:
        return _open_again(artifact) if artifact.state == ArtifactState.CORRUPT else artifact
    if artifact.state != ArtifactState.WRITING or is_built_on(artifact):
        raise Conflict("Other files are recorded under this name already.")
    artifact.manifest = list(offer["files"])
    artifact.digest = digest_of(offer["files"])
    artifact.size_bytes = total_bytes(offer["files"])
    store_of(artifact).delete(artifact.uid)  # files of the earlier offer
    artifact.uploads.all().delete()
    artifact.save(update_fields=["manifest", "digest", "size_bytes"])
    return artifact


def _open_again(artifact: Artifact) -> Artifact:
    """Let a runner replace the damaged file of an artifact that it still has; `damaged_file` tells of it until then."""
    index = next((i for i, entry in enumerate(artifact.manifest) if entry["name"] == artifact.damaged_file), None)
    if index is not None:
        store_of(artifact).delete_file(artifact.uid, artifact.file_number(index))
    damaged = Artifact.objects.filter(pk=artifact.pk, state=ArtifactState.CORRUPT)
    damaged.exclude(damaged_file="").update(state=ArtifactState.WRITING)  # without a name it is just being compared
    artifact.refresh_from_db()
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
                store=store().kind,
                size_bytes=total_bytes(offer["files"]),
                manifest=list(offer["files"]),
                digest=digest_of(offer["files"]),
            )
    except IntegrityError:  # the same offer arrived twice at the same moment
        return Artifact.objects.get(attempt=attempt, source=offer["source"])


def missing_files(artifact: Artifact) -> list[int]:
    """Return the indexes of the files of a runner's artifact whose bytes are not in the store yet."""
    if artifact.state != ArtifactState.WRITING:
        return []
    sizes = {index: entry["size_bytes"] for index, entry in enumerate(artifact.manifest)}
    return store_of(artifact).missing(artifact.uid, sizes)


def complete_artifact(*, artifact: Artifact) -> Artifact:
    """Make an artifact visible once all its files are stored.

    What went to the file store was hashed as it was written. What is in an object store the hub has not seen: it is
    `complete` until its bytes were read and compared, at once where they are few, else by the scheduler. One of which
    a file was damaged stays `corrupt` until then, as others may be. Asking again changes nothing.

    Raises: Conflict naming how many files are missing, Fenced when the attempt ended meanwhile.
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
        artifact.uploads.all().delete()
        state = _state_when_sent(artifact)
        verified_at = now if state == ArtifactState.VERIFIED else None
        writing = Artifact.objects.filter(pk=artifact.pk, state=ArtifactState.WRITING)
        if writing.update(state=state, verified_at=verified_at, damaged_file=""):
            artifact.run.events.create(
                at=now,
                kind=f"{artifact.type}_recorded",
                attempt=artifact.attempt,
                actor="runner",
                message=artifact.name,
                evidence={"artifact": artifact.uid, "size_bytes": artifact.size_bytes, "sha256": artifact.digest},
            )
    artifact.refresh_from_db()
    if artifact.state == ArtifactState.COMPLETE and artifact.size_bytes <= READ_AT_ONCE_BYTES:
        with suppress(ArtifactDamaged, StoreUnavailable):  # the first is noted; after the other the scheduler looks
            verify_artifact(artifact=artifact)
    compare_mended(artifact)
    artifact.refresh_from_db()
    return artifact


def _state_when_sent(artifact: Artifact) -> ArtifactState:
    if artifact.damaged_file:
        return ArtifactState.CORRUPT
    return ArtifactState.VERIFIED if artifact.store == "file" else ArtifactState.COMPLETE


def checkpoint_to_resume(*, run: Run, checkpoint_id: str) -> Artifact:
    """Return a checkpoint of `run` whose stored bytes were just compared with its manifest.

    Outside any transaction, as hashing takes about 1 s for each GB. Of a large one in an object store, which was
    compared when it came, only the sizes are looked at: a request must not take minutes, and the runner compares every
    byte before its trainer starts.

    Raises: NotFound when `run` has no such artifact, InvalidInput when it is no checkpoint, ArtifactDamaged (409)
    naming the damaged file, Conflict when its bytes were removed by rule, or while a large one is being compared for
    the first time, StoreUnavailable, TooBusy as `comparing_place`.
    """
    checkpoint = Artifact.objects.whole().filter(run=run, uid=checkpoint_id).select_related("run__project").first()
    if checkpoint is None:
        raise NotFound("This run has no such artifact.")
    if checkpoint.type != ArtifactType.CHECKPOINT:
        raise InvalidInput({"source_artifact_id": ["Only a checkpoint can be resumed from."]})
    if checkpoint.store == "file" or checkpoint.size_bytes <= READ_AT_ONCE_BYTES:
        with comparing_place():
            return verify_artifact(artifact=checkpoint)
    if checkpoint.state == ArtifactState.COMPLETE:
        raise Conflict("The checkpoint is being compared with its hashes; try again shortly.", state=checkpoint.state)
    check_sizes(checkpoint)
    return checkpoint


def resumed_name(run: Run) -> str:
    """Return the name of a run that continues `run`, when none is given."""
    return f"{run.name[:190]} resumed"


def prepare_resume(*, checkpoint: Artifact, values: dict[str, Any]) -> Run:
    """Return a run, not stored yet, that continues from `checkpoint`, which the caller has just had verified.

    What `values` leaves out is taken over from the checkpoint's run; given parameters are laid over its own, name by
    name. Raises as `prepare_run` does, and InvalidInput when neither names a recipe: an external run has none.
    """
    run = checkpoint.run
    if not run.is_managed and not values.get("recipe"):
        raise InvalidInput({"recipe": ["Name a recipe: a tracking client made the run, so that it has none."]})
    merged = {"name": resumed_name(run), **changed_values(run, values)}
    return prepare_run(project=run.project, values=merged, resumed_from=checkpoint)


def tag_artifact(
    *, artifact: Artifact, value: TagValue, notes: str, by: Any, actor: str = "", is_from_registry: bool = False
) -> Artifact:
    """Mark a checkpoint; the same tag again replaces its notes, time and person.

    A tag that a person puts on, or again, is no longer the registry's: no alias takes it off. The timeline keeps every
    application, by `actor` where that is another than the person. Raises: Conflict when the artifact is no checkpoint,
    damaged, or written again, or its bytes were removed by rule; NotFound when its run was deleted meanwhile.
    """
    if artifact.type != ArtifactType.CHECKPOINT:
        raise Conflict("Only checkpoints carry tags.", type=artifact.type)
    now = timezone.now()
    with transaction.atomic():
        lock_kept(artifact.run_id)  # a tag keeps the run from being deleted, and the checkpoint's bytes
        _check_taggable(as_it_is_now(artifact), value)
        said = {"notes": notes, "applied_at": now, "applied_by": by}
        ArtifactTag.objects.update_or_create(
            artifact=artifact,
            value=value,
            defaults=said if is_from_registry else {**said, "is_from_registry": False},
            create_defaults={**said, "is_from_registry": is_from_registry},
        )
        _note_tag(artifact, "tagged", value, notes, by, actor)
    return artifact


def _check_taggable(checkpoint: Artifact, value: TagValue) -> None:
    """Raise Conflict for a checkpoint that is not whole; a damaged one may be archived."""
    refuse_removed(checkpoint)
    if checkpoint.state == ArtifactState.CORRUPT and value != TagValue.ARCHIVED:
        raise Conflict("The checkpoint is damaged.", state=checkpoint.state, file=checkpoint.damaged_file)
    if checkpoint.state == ArtifactState.WRITING:
        raise Conflict("The checkpoint is being written again.", state=checkpoint.state)


def untag_artifact(*, artifact: Artifact, value: TagValue, by: Any, actor: str = "") -> Artifact:
    """Take a tag off, and the aliases and stages of registered versions that stand for it; the timeline remembers it.

    Raises: NotFound when it is not there.
    """
    with transaction.atomic():
        deleted, _ = artifact.tags.filter(value=value).delete()
        if not deleted:
            raise NotFound("The checkpoint does not carry this tag.")
        unsay(artifact, value)
        _note_tag(artifact, "untagged", value, "", by, actor)
    return artifact


def _note_tag(artifact: Artifact, kind: str, value: TagValue, notes: str, by: Any, actor: str) -> None:
    artifact.run.events.create(
        kind=kind,
        actor=actor or by.get_username(),
        user=by,
        message=f"{value}: {artifact.name}"[:1000],
        evidence={"artifact": artifact.uid, "tag": value, "notes": notes},
    )


def collect_broken_uploads(*, older_than: timedelta = timedelta(hours=1)) -> int:
    """Remove what uploads left that nobody has written to for so long; returns how many files.

    What names them goes last, so that a process that is killed in between leaves them to be found again.
    """
    count, begun_at = 0, timezone.now()
    for files in stores():
        for uid, numbers in files.abandoned(older_than=older_than).items():
            drop_unrecorded(uid, abandoned=numbers)
        # Not what has become so old only since.
        count += files.collect_incoming(older_than=older_than + (timezone.now() - begun_at))
    return count


def collect_unfinished(*, older_than: timedelta = timedelta(hours=24)) -> int:
    """Remove artifacts whose upload was given up, with their files; returns how many.

    One that was damaged and sent again, and on which something is built, stays, and is damaged as before. Where a store
    is away they stay for the next time, which is logged.
    """
    given_up = Artifact.objects.filter(
        state=ArtifactState.WRITING, created_at__lt=timezone.now() - older_than, attempt__ended_at__isnull=False
    )
    count = 0
    for artifact in given_up:
        if is_built_on(artifact):
            given_up.filter(pk=artifact.pk).update(state=ArtifactState.CORRUPT)
            continue
        try:
            store_of(artifact).delete(artifact.uid)
        except (OSError, StoreUnavailable) as error:
            logger.warning("the artifact %s, whose upload was given up, stays for now: %s", artifact.uid, error)
            continue
        artifact.delete()
        count += 1
    return count
