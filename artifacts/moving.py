"""Moving artifacts from one store to another: copied, compared, recorded, and only then removed from the old one."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from artifacts.models import Artifact, ArtifactState
from artifacts.storage import copy_file
from artifacts.storage.choice import store_named
from artifacts.tracking.files import remove_bytes
from trainhub.errors import Conflict


def movable_to(kind: str) -> Iterator[Artifact]:
    """Yield whole artifacts that are in another store, oldest first, as they are at that moment.

    Left out is what is still being written, what is damaged, and what was removed: there are no good bytes of it.
    """
    whole = Artifact.objects.filter(state__in=[ArtifactState.COMPLETE, ArtifactState.VERIFIED], run__deleted_at=None)
    last = 0
    while artifact := whole.exclude(store=kind).filter(pk__gt=last).order_by("pk").first():
        last = artifact.pk
        yield artifact


def move_artifact(artifact: Artifact, *, to: str) -> bool:
    """Move one artifact; False when somebody changed or removed it meanwhile, then it stays where it is.

    Outside any transaction: reads all bytes. Raises: FileNotFoundError or InvalidInput when the bytes are damaged,
    StorageFull, StoreUnavailable. Nothing has changed then.
    """
    target = Artifact(uid=artifact.uid, store=to)
    files = store_named(to)
    try:
        for index, entry in enumerate(artifact.manifest):
            number, size_bytes = artifact.file_number(index), entry["size_bytes"]
            sha256 = entry["sha256"]
            copy_file(artifact, number, to=target, to_number=number, size_bytes=size_bytes, sha256=sha256)
            if files.digest(artifact.uid, number) != sha256:
                raise FileNotFoundError(f"{entry['name']} did not arrive as it is")
        is_moved = _record(artifact, to)
    except BaseException:
        _discard(target)
        raise
    if is_moved:
        remove_bytes([(artifact, None)])
    else:
        _discard(target)
    return is_moved


def _discard(copy: Artifact) -> None:
    """Remove what was copied, unless it has become the artifact's own bytes."""
    if not Artifact.objects.filter(uid=copy.uid, store=copy.store).exists():
        remove_bytes([(copy, None)])


@contextmanager
def only_mover() -> Iterator[None]:
    """Keep other processes from moving artifacts: each would remove what the other copied. Raises: Conflict."""
    with (settings.DATA_DIR / "moving.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("Artifacts are being moved already.") from None
        yield


def _record(artifact: Artifact, to: str) -> bool:
    """Enter the new store; what waited to be compared with its hashes has just been."""
    with transaction.atomic():
        same = {"pk": artifact.pk, "store": artifact.store, "digest": artifact.digest, "state": artifact.state}
        locked = Artifact.objects.select_for_update().filter(**same).first()
        if locked is None or locked.places != artifact.places:
            return False
        locked.store = to
        if locked.state == ArtifactState.COMPLETE:
            locked.state, locked.verified_at = ArtifactState.VERIFIED, timezone.now()
        locked.save(update_fields=["store", "state", "verified_at"])
    return True
