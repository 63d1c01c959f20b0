"""When what tracking clients put is a whole checkpoint.

A folder that no marker ends is whole, so that it can be tagged and resumed from,

- when the client says that the run is FINISHED;
- else when the client went on to another one: its program had begun another folder of a checkpoint since. At the end as
  FAILED or KILLED this counts at once, otherwise after an hour in which nobody wrote to it.

So the one that a program wrote to last before it broke off is never taken for whole: its files can be read, and it is
whole when a later program writes to it and goes on. A program is the attempt of a managed run; of an external run what
logs from one start to its end.
"""

from __future__ import annotations

import logging
import secrets
from bisect import bisect
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from artifacts.models import Artifact, ArtifactState, ArtifactType, Readiness
from artifacts.storage import StoreUnavailable, copy_file, store_of
from artifacts.tracking.files import (
    FILE_NUMBERS,
    PathRefused,
    Sender,
    check_path,
    finish,
    is_fixed,
    make_group,
    remove_bytes,
    save_files,
)
from artifacts.tracking.places import Place, above
from artifacts.tracking.removal import take_out
from artifacts.verification import compare_mended
from runs.deletion import lock_kept
from runs.lifecycle import Status
from runs.models import ClientStatus, Run
from runs.tracking.external import ENDS
from trainhub.errors import Conflict, NotFound, TooBusy

logger = logging.getLogger(__name__)
HUB = Sender("trainhub")
SILENCE = timedelta(hours=1)  # after which nobody is thought to go on with one that is not the last
KEPT_FAILED = timedelta(hours=24)  # what of a model is kept whose upload failed, as of the runner's own


def _open_checkpoints() -> QuerySet[Artifact]:
    """Return checkpoints of clients that are not whole yet; those of logged models wait for their client's word."""
    rows = Artifact.objects.filter(is_from_client=True, state=ArtifactState.WRITING, type=ArtifactType.CHECKPOINT)
    return rows.filter(logged_model=None).exclude(digest="")


def complete_checkpoints_of(*, run: Run, by: Sender) -> int:
    """Make those checkpoints of a run whole that are, as its client has said that it ended.

    One of which a file is on its way waits. Returns how many.
    """
    return _complete(_whole_ones(run, list(_open_checkpoints().filter(run=run))), by)


def _whole_ones(run: Run, checkpoints: list[Artifact]) -> list[Artifact]:
    """Return which of all open checkpoints of a run are whole. Three queries at most."""
    is_finished = _is_finished(run)
    if not is_finished and len(checkpoints) < 2:
        return []
    starts = _starts_of(run)
    last: dict[int, Artifact] = {}  # the last of each program, by the number of the program
    for checkpoint in sorted(checkpoints, key=_written_at):
        last[bisect(starts, _written_at(checkpoint))] = checkpoint
    if is_finished:
        last.pop(len(starts), None)
    return [checkpoint for checkpoint in checkpoints if checkpoint not in last.values()]


def _written_at(checkpoint: Artifact) -> datetime:
    return checkpoint.verified_at or checkpoint.created_at


def _is_finished(run: Run) -> bool:
    """Tell whether the newest program of a run came to its end: by its client's word, without one by the run's status.

    A run that goes on is not. One query.
    """
    words = Run.objects.filter(pk=run.pk).values_list("status", "tracking__client_status")
    status, word = words.first() or ("", "")
    return word == ClientStatus.FINISHED if word in ENDS else status == Status.COMPLETED


def _starts_of(run: Run) -> list[datetime]:
    """Return when the programs of a run started, in order, by the hub's clock. One query."""
    if run.is_managed:
        return sorted(run.attempts.values_list("created_at", flat=True))
    return sorted(run.events.filter(kind=Status.RUNNING).values_list("at", flat=True))


def complete_checkpoint(*, checkpoint: Artifact, by: Sender) -> None:
    """Make a checkpoint whole: every file was hashed as it was written. Asking again changes nothing.

    Raises: NotFound when it was removed meanwhile.
    """
    with transaction.atomic():
        run = lock_kept(checkpoint.run_id)
        locked = _lock(checkpoint, run)
        if locked.state == ArtifactState.WRITING and locked.manifest:
            finish(locked, timezone.now(), by)
            save_files(locked)
    compare_mended(locked)


def _lock(artifact: Artifact, run: Run) -> Artifact:
    """Lock and return an artifact of `run`, which is locked. Raises: NotFound. Call in a transaction."""
    locked = Artifact.objects.select_for_update().filter(pk=artifact.pk).first()
    if locked is None:
        raise NotFound("The artifact was removed.")
    locked.run = run
    return locked


def _complete(checkpoints: Iterable[Artifact], by: Sender) -> int:
    count = 0
    for checkpoint in checkpoints:
        try:
            is_arriving = bool(store_of(checkpoint).being_received(checkpoint.uid))
        except StoreUnavailable as error:
            logger.warning("whether the checkpoint %s is whole is seen later: %s", checkpoint.uid, error)
            continue
        if not is_arriving:
            with suppress(NotFound):  # removed meanwhile, by itself or with its run
                complete_checkpoint(checkpoint=checkpoint, by=by)
                count += 1
    return count


def settle_client_files(*, now: datetime | None = None) -> int:
    """Complete the whole checkpoints that nobody writes to any more, and remove what was begun and given up.

    Given up is an artifact without any file, and what a model has whose client says that its upload failed a day ago.
    Returns how many artifacts were completed or removed.
    """
    now = now or timezone.now()
    alive = Artifact.objects.filter(is_from_client=True, state=ArtifactState.WRITING, run__deleted_at=None)
    empty = alive.filter(digest="", created_at__lt=now - SILENCE)
    failed = alive.filter(
        logged_model__readiness=Readiness.UPLOAD_FAILED, logged_model__updated_at__lt=now - KEPT_FAILED
    )
    return _complete(_silent_ones(now - SILENCE), HUB) + _remove(empty) + _remove(failed)


def _silent_ones(since: datetime) -> Iterator[Artifact]:
    """Yield the open checkpoints that are whole and were not written to since then."""
    by_run: dict[Run, list[Artifact]] = {}
    rows = _open_checkpoints().filter(run__deleted_at=None).select_related("run")
    for checkpoint in rows.defer("manifest", "places", "run__recipe_snapshot"):
        by_run.setdefault(checkpoint.run, []).append(checkpoint)
    for run, checkpoints in by_run.items():
        if any(_written_at(one) < since for one in checkpoints):
            yield from (one for one in _whole_ones(run, checkpoints) if _written_at(one) < since)


def _remove(artifacts: Iterable[Artifact]) -> int:
    count = 0
    for artifact in artifacts:
        try:
            if store_of(artifact).being_received(artifact.uid):
                continue
        except StoreUnavailable as error:
            logger.warning("the artifact %s, which was given up, stays for now: %s", artifact.uid, error)
            continue
        unchanged = Artifact.objects.filter(pk=artifact.pk, state=ArtifactState.WRITING, digest=artifact.digest)
        if unchanged.delete()[0]:
            remove_bytes([(artifact, None)])
            count += 1
    return count


def drop_unrecorded(uid: str, *, abandoned: Collection[int] = ()) -> int:
    """Remove files of a client's artifact that its manifest does not name, as a killed process leaves them.

    What is being written stays, unless its number is among `abandoned`. Returns how many were removed.
    """
    artifact = Artifact.objects.filter(uid=uid, is_from_client=True).first()
    if artifact is None:
        return 0
    files = store_of(artifact)
    there = files.numbers(uid)  # in this order: what is on its way is recorded before it is no longer received
    there -= files.being_received(uid).difference(abandoned)
    artifact.refresh_from_db()
    strays = there - {artifact.file_number(index) for index in range(len(artifact.manifest))}
    for number in strays:
        files.delete_file(uid, number)
    return len(strays)


def mark_model(*, run: Run, path: str, by: Sender) -> Artifact | None:
    """Make a whole checkpoint of the files below `path`, which a client of MLflow 2 says are a model.

    Where they are a whole artifact, that becomes the checkpoint; else they move to one of their own. Asking again
    changes nothing. Returns None where no files are.

    Raises: PathRefused when the path is not safe, or they are in an artifact that nobody may change any more; NotFound
        when they were removed meanwhile; Conflict when one of the artifact's files is damaged.
    """
    check_path(path)
    rows = Artifact.objects.filter(run=run, is_from_client=True, logged_model=None, source__in=above(path))
    group = max(rows.exclude(digest=""), key=lambda one: len(one.source), default=None)
    if group is None:
        return None
    if group.type == ArtifactType.CHECKPOINT:
        complete_checkpoint(checkpoint=group, by=by)
        return group
    if is_fixed(group):
        raise PathRefused(f"{group.source} is a registered model; its files cannot be changed any more.")
    return _flip(group, by) if group.source == path else _move(group, path, by)


def _flip(group: Artifact, by: Sender) -> Artifact:
    with transaction.atomic():
        run = lock_kept(group.run_id)
        locked = _lock(group, run)
        if locked.type != ArtifactType.CHECKPOINT:
            _refuse_damaged(locked)
            locked.type = ArtifactType.CHECKPOINT
            finish(locked, timezone.now(), by)
            save_files(locked)
    return locked


def _refuse_damaged(group: Artifact) -> None:
    """Raise Conflict for damaged files; only the first one is known by its name, so that none can be taken as whole."""
    if group.state == ArtifactState.CORRUPT:
        raise Conflict("The files are damaged.", state=group.state, file=group.damaged_file)


def _move(group: Artifact, path: str, by: Sender) -> Artifact | None:
    """Move the files below a folder of an artifact to a checkpoint of their own, which is whole then.

    Both have the bytes for a moment: they are linked, the change is committed, and then the old places are removed.
    """
    start = f"{path[len(group.source) + 1 :]}/"
    moved = [index for index, entry in enumerate(group.manifest) if entry["name"].startswith(start)]
    if not moved:
        return None
    _refuse_damaged(group)
    target = make_group(group.run, path, Place(path, ArtifactType.CHECKPOINT, is_directory=True))
    numbers = [secrets.choice(FILE_NUMBERS) for _ in moved]
    for index, number in zip(moved, numbers, strict=True):
        size_bytes, sha256 = group.manifest[index]["size_bytes"], group.manifest[index]["sha256"]
        copy_file(group, group.file_number(index), to=target, to_number=number, size_bytes=size_bytes, sha256=sha256)
    with transaction.atomic():
        run = lock_kept(group.run_id)
        locked = {one.pk: one for one in Artifact.objects.select_for_update().filter(pk__in=[group.pk, target.pk])}
        source, there = locked.get(group.pk), locked.get(target.pk)
        if source is None or there is None:
            raise NotFound("The artifact was removed.")
        target = there
        if source.digest != group.digest or target.state != ArtifactState.WRITING:
            raise TooBusy("Files were put there meanwhile; send the request again.")
        _refuse_damaged(source)
        target.run = run
        target.manifest += [{**source.manifest[i], "name": source.manifest[i]["name"][len(start) :]} for i in moved]
        target.places += numbers
        target.verified_at = timezone.now()
        finish(target, target.verified_at, by)
        save_files(target)
        old = take_out(source, moved)
    remove_bytes(old)
    return target
