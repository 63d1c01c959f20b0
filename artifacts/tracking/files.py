"""Files that tracking clients put and replace one by one.

The files of a run are grouped: all below one first part of their path make one artifact, whose manifest grows and
shrinks. Bytes come first, under a number of their own; then one short transaction records them. So a file is there
whole or not at all, what was acknowledged stays, and who reads a file that is replaced reads the old one to its end.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from artifacts.manifest import digest_of, is_client_path, total_bytes
from artifacts.models import Artifact, ArtifactState, ArtifactType, LoggedModel
from artifacts.storage import Received, StoreUnavailable, store, store_of
from artifacts.tracking.places import Place, above, place_of
from artifacts.uids import new_artifact_uid
from artifacts.verification import compare_mended
from runner.protocol import MAX_ARTIFACT_FILES, FileEntry
from runs.deletion import lock_kept
from runs.models import Run
from trainhub.errors import DomainError, TooBusy

logger = logging.getLogger(__name__)
FILE_NUMBERS = range(MAX_ARTIFACT_FILES, 2**40)  # of stored files, drawn at random: clients put many at once


Unneeded = tuple[Artifact, int | None]  # bytes of a file by its number, of all files where there is none


@dataclass(frozen=True, slots=True)
class Sender:
    """Who puts files; `name` is for the timeline, `user` None for a trainer whose launcher is gone."""

    name: str
    user: Any = None


class _NeedsCopy(Exception):
    """The file begins a new artifact, which needs its bytes under another uid."""


class PathRefused(DomainError):
    """A path that nothing can be stored or found under."""

    code = "invalid_path"


def check_path(path: str) -> str:
    """Return a path that may be stored. Raises: PathRefused."""
    if not is_client_path(path):
        raise PathRefused("Invalid path: it must be relative, of plain parts, without '..' and control characters.")
    return path


def put_file(
    *,
    run: Run,
    path: str,
    blocks: Iterable[bytes],
    size_bytes: int | None,
    by: Sender,
    place: Place | None = None,
) -> Artifact:
    """Store a file of a run, in the place of one of the same path.

    A whole checkpoint on which something is built, such as a tag or a resumed run, never changes: other bytes begin a
    new one in its place, and the old one stays as it is. One on which nothing is built is open again, as the client
    overwrites it.

    Outside any transaction, as it takes as long as the sender does. Memory use is one block.

    Args:
        run: any run that is not deleted.
        path: relative to the run's artifacts; its first parts name the artifact, unless `place` does.
        blocks: the bytes.
        size_bytes: what the sender announced, None when it did not.
        by: who sends.
        place: the artifact that it belongs to, whatever the path says.

    Raises:
        PathRefused: the path is not safe, lies below a file or on a folder, or in a model that was declared whole or
            registered. The same bytes again are fine there.
        BodyCutOff, StorageFull, StoreUnavailable: as `ArtifactStore.receive` raises them.
        TooBusy: somebody removed the artifact meanwhile, or moved it to another store; the same request will succeed.
        NotFound: the run was deleted meanwhile.
    """
    check_path(path)
    group = _find_group(run, path, place or place_of(run, path))
    _check_early(group, _name_in(group, path), size_bytes)
    number = secrets.choice(FILE_NUMBERS)
    try:
        with store_of(group).receive(group.uid, number, blocks, size_bytes=size_bytes) as received:
            try:
                group, unneeded = _record(group, path, number, received, by)
            except _NeedsCopy:
                group, unneeded = _record_anew(group, path, number, received, by)
            remove_bytes(unneeded)
    except FileNotFoundError:  # its folder was removed with all that was in it
        raise TooBusy("The artifact was removed meanwhile; send the file again.") from None
    compare_mended(group)
    return group


def _find_group(run: Run, path: str, place: Place) -> Artifact:
    """Return the artifact of the client that a path lies in, of several the innermost; else make the one of `place`.

    Raises: PathRefused when the path lies below a file.
    """
    rows = Artifact.objects.filter(run=run, is_from_client=True)
    known = rows.filter(Q(logged_model=None) | Q(source=place.source), source__in=above(path))
    inner = max(known, key=lambda one: len(one.source), default=None)
    if inner is None:
        return make_group(run, path, place)
    if len(inner.source) < len(place.source):
        _name_in(inner, path)
        return make_group(run, path, place)
    if not inner.manifest and inner.source == place.source and inner.is_directory != place.is_directory:
        # What began as a file became none, and is a folder now, or the reverse.
        rows.filter(pk=inner.pk, digest="").update(is_directory=place.is_directory)
        inner.refresh_from_db()
    return inner


def make_group(run: Run, path: str, place: Place, *, uid: str = "", kind: str = "") -> Artifact:
    """Record an artifact that has no file yet, and that nobody sees until it has one; one that is there is found.

    A new one gets `uid` where it is given, and its bytes go to the store `kind`, else to that of the settings.

    Raises: PathRefused when `path` is to be a file and is a folder, NotFound when the run was deleted.
    """
    rows = Artifact.objects.filter(run=run, is_from_client=True)
    if not place.is_directory:
        below = rows.filter(source__startswith=f"{path}/").exclude(digest="").values_list("source", flat=True)
        if any(source.startswith(f"{path}/") for source in below):  # SQLite finds other cases, too
            raise PathRefused(f"{path} is a folder.")
    uid = uid or new_artifact_uid(place.type)
    try:
        with transaction.atomic():
            lock_kept(run.pk)
            return Artifact.objects.create(
                uid=uid,
                run=run,
                type=place.type,
                name=place.name,
                source=place.source,
                step=place.step,
                is_from_client=True,
                is_directory=place.is_directory,
                store=kind or store().kind,
                path=f"trainhub://{run.project.uid}/{run.uid}/{uid}",
            )
    except IntegrityError:  # another file of it arrived at the same moment
        return rows.get(source=place.source)


def _name_in(group: Artifact, path: str) -> str:
    """Return what the manifest calls the file. Raises: PathRefused when the path is a folder, or lies below a file."""
    if path == group.source:
        if group.is_directory:
            raise PathRefused(f"{path} is a folder.")
        return path.rpartition("/")[2]
    if not group.is_directory:
        raise PathRefused(f"{group.source} is a file.")
    return path[len(group.source) + 1 :]


def is_whole_checkpoint(group: Artifact) -> bool:
    """Tell whether the artifact is a checkpoint that is whole: then it can be tagged, resumed from and registered."""
    return group.type == ArtifactType.CHECKPOINT and group.state != ArtifactState.WRITING


def is_fixed(group: Artifact) -> bool:
    """Tell whether nothing may take the place of the artifact's files: a logged model that is whole, or what a version
    of a registered model names. Two queries at most.
    """
    if is_whole_checkpoint(group):
        return LoggedModel.objects.filter(artifact=group).exists()
    return group.model_versions.kept().exists()


def unchangeable(group: Artifact) -> PathRefused:
    """Return the error for a change of what nobody may change."""
    return PathRefused(
        f"{group.source} is a whole checkpoint or a registered model; its files cannot be changed any more."
    )


def _check_early(group: Artifact, name: str, size_bytes: int | None) -> None:
    """Refuse what cannot be recorded before its bytes are read. Raises: PathRefused."""
    index = index_of(group, name)
    if is_fixed(group):
        if index is None or size_bytes not in {None, group.manifest[index]["size_bytes"]}:
            raise unchangeable(group)
    elif index is None and not is_whole_checkpoint(group):
        _check_new_name(group, name)


def index_of(group: Artifact, name: str) -> int | None:
    """Return the index of a file in the manifest, None without it."""
    return next((index for index, entry in enumerate(group.manifest) if entry["name"] == name), None)


def _check_new_name(group: Artifact, name: str) -> None:
    if len(group.manifest) >= MAX_ARTIFACT_FILES:
        raise PathRefused(f"{group.source} holds {MAX_ARTIFACT_FILES} files, which is as many as an artifact may.")
    folders = set(above(name)[1:])
    for entry in group.manifest:
        if entry["name"] in folders:
            raise PathRefused(f"{group.source}/{entry['name']} is a file.")
        if entry["name"].startswith(f"{name}/"):
            raise PathRefused(f"{group.source}/{name} is a folder.")


def _record_anew(
    group: Artifact, path: str, number: int, received: Received, by: Sender
) -> tuple[Artifact, list[Unneeded]]:
    """Enter a stored file into an artifact that takes the place of a whole checkpoint; return as `_record` does."""
    copy = Artifact(uid=new_artifact_uid(group.type), store=group.store)
    store_of(group).link(
        group.uid, number, to_uid=copy.uid, to_number=number
    )  # before the transaction: it may take long
    group, unneeded = _record(group, path, number, received, by, copied_to=copy.uid)
    return group, unneeded if group.uid == copy.uid else [*unneeded, (copy, None)]


def _record(
    group: Artifact, path: str, number: int, received: Received, by: Sender, *, copied_to: str = ""
) -> tuple[Artifact, list[Unneeded]]:
    """Enter a stored file into the manifest; return the artifact, and the bytes that are not needed now.

    Raises: _NeedsCopy when it begins a new artifact, and `copied_to` does not tell under which uid its bytes are, too.
    """
    now = timezone.now()
    with transaction.atomic():
        group = _lock(group)
        name = _name_in(group, path)
        entry: FileEntry = {"name": name, "size_bytes": received.size_bytes, "sha256": received.sha256}
        index = index_of(group, name)
        is_same = index is not None and group.manifest[index] == entry
        if is_same and group.state != ArtifactState.CORRUPT:
            return group, [(group, number)]  # sent again after a lost answer
        unneeded: list[Unneeded] = []
        if not is_same:
            if is_fixed(group):
                raise unchangeable(group)
            if is_whole_checkpoint(group) and is_built_on(group):
                if not copied_to:
                    raise _NeedsCopy
                unneeded.append((group, number))
                group, index = _begin_anew(group, path, copied_to), None
            elif group.type == ArtifactType.CHECKPOINT:
                _open_again(group, now, is_replaced=index is not None)
        group.places = group.places or list(range(len(group.manifest)))
        if index is None:
            _check_new_name(group, name)
            group.manifest.append(entry)
            group.places.append(number)
        else:
            unneeded.append((group, group.places[index]))
            group.manifest[index], group.places[index] = entry, number
        if group.state == ArtifactState.CORRUPT and group.damaged_file == name[:500]:
            group.damaged_file = ""  # others may be damaged as well
        if group.state == ArtifactState.WRITING and _is_whole_with(group, name):
            finish(group, now, by)
        group.verified_at = now
        save_files(group)
    return group, unneeded


def _open_again(checkpoint: Artifact, now: datetime, *, is_replaced: bool) -> None:
    """Let other bytes into a checkpoint; `is_replaced` tells whether they take the place of some that it has."""
    if is_replaced:
        checkpoint.created_at = now  # what is overwritten is another checkpoint from then on, and a newer one
    if is_whole_checkpoint(checkpoint):
        # What is damaged of it stays so in files that are not sent again: `finish` has all compared then.
        was_damaged = checkpoint.state == ArtifactState.CORRUPT
        checkpoint.damaged_file = (checkpoint.damaged_file or checkpoint.name) if was_damaged else ""
        checkpoint.state = ArtifactState.WRITING


def _begin_anew(old: Artifact, path: str, uid: str) -> Artifact:
    """Return the artifact `uid`, which takes the place of a whole checkpoint.

    Call in a transaction that has locked the old one.
    """
    old.is_from_client = False
    old.save(update_fields=["is_from_client"])
    place = Place(old.source, ArtifactType(old.type), old.is_directory, old.step)
    return make_group(old.run, path, place, uid=uid, kind=old.store)


def is_built_on(artifact: Artifact) -> bool:
    """Tell whether a tag, a run or a version of a registered model needs the artifact. Four queries at most."""
    return (
        artifact.tags.exists()
        or artifact.resumed_runs.exists()
        or artifact.restored_attempts.exists()
        or artifact.model_versions.kept().exists()
    )


def _lock(group: Artifact) -> Artifact:
    """Lock and return an artifact whose bytes are still where those that have just arrived went. Raises: TooBusy."""
    run = lock_kept(group.run_id)
    locked = Artifact.objects.select_for_update().filter(pk=group.pk).first()
    if locked is None or locked.state == ArtifactState.REMOVED:
        raise TooBusy("The artifact was removed meanwhile; send the file again.")
    if locked.store != group.store:
        raise TooBusy("The artifact was moved to another store meanwhile; send the file again.")
    locked.run = run
    return locked


def _is_whole_with(group: Artifact, name: str) -> bool:
    """Tell whether the artifact can be seen now that it has this file; a folder of a checkpoint waits for its end."""
    if group.type != ArtifactType.CHECKPOINT or not group.is_directory:
        return True
    place = place_of(group.run, f"{group.source}/{name}")
    return place.source == group.source and place.marker == name


def finish(group: Artifact, at: datetime, by: Sender) -> None:
    """Let an artifact be seen, and note it in the timeline; the caller saves it. Call in a transaction.

    One of which a file was damaged stays `corrupt` until all are compared: call `compare_mended` after the commit.
    """
    group.state = ArtifactState.CORRUPT if group.damaged_file else ArtifactState.VERIFIED
    group.damaged_file = ""
    group.run.events.create(
        at=at,
        kind=f"{group.type}_recorded",
        actor=by.name,
        user=by.user,
        message=group.name,
        evidence={"artifact": group.uid, "source": group.source},
    )


def save_files(group: Artifact) -> None:
    """Store what depends on the manifest."""
    group.digest = digest_of(group.manifest) if group.manifest else ""
    group.size_bytes = total_bytes(group.manifest)
    group.save(
        update_fields=[
            *("type", "name", "step", "state", "damaged_file", "created_at", "verified_at"),
            *("manifest", "places", "digest", "size_bytes"),
        ]
    )


def remove_bytes(unneeded: Iterable[Unneeded]) -> None:
    """Remove stored files, after the commit. Where the store is away they stay, which is logged."""
    for artifact, number in unneeded:
        try:
            if number is None:
                store_of(artifact).delete(artifact.uid)
            else:
                store_of(artifact).delete_file(artifact.uid, number)
        except StoreUnavailable as error:
            logger.warning("bytes of %s that nobody needs any more stay in the store: %s", artifact.uid, error)
