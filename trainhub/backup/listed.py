"""What the database says of the artifacts in the file store, against which a backup is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from django.db.models import QuerySet

from artifacts.checking import with_bytes
from artifacts.models import Artifact
from trainhub.backup.files import folder_of, uids_in

UIDS_AT_ONCE = 500  # in one query


def deleted_artifacts(target: Path) -> list[str]:
    """Return the uids of artifacts in the backup's store of which the database, as of now, has no bytes to keep.

    Their rows are gone, or their bytes were removed or moved to an object store.
    """
    deleted: list[str] = []
    for uids in uids_in(target):  # read first, so that what comes in between is not among them
        for some in _batches(uids):
            rows = Artifact.objects.filter(uid__in=some, store="file", bytes_deleted_at=None)
            deleted += set(some).difference(rows.values_list("uid", flat=True))
    return deleted


def lost_artifacts(source: Path) -> list[str]:
    """Return the uids of artifacts whose files must be in the store, and that have no folder there."""
    lost: list[str] = []
    for some in _batches(_with_files().order_by("pk").values_list("uid", flat=True).iterator()):
        missing = [uid for uid in some if not folder_of(source, uid).exists()]
        if missing:  # asked again: they may just have been deleted
            lost += _with_files().filter(uid__in=missing).order_by("pk").values_list("uid", flat=True)
    return lost


def _with_files() -> QuerySet[Artifact]:
    return with_bytes().filter(store="file").exclude(manifest=[])


def _batches(uids: Iterable[str]) -> Iterator[list[str]]:
    left = iter(uids)
    while some := list(islice(left, UIDS_AT_ONCE)):
        yield some
