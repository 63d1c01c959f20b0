"""Whether a store belongs to this database: both hold the uid of the installation.

What no row tells of is removed from a store. A hub on an empty or another database, or with another hub's bucket in its
settings, would remove everything so.
"""

from __future__ import annotations

from datetime import timedelta

from artifacts.models import Artifact, Installation
from artifacts.models.installation import ONLY
from artifacts.storage import ArtifactStore

ANY_AGE = timedelta(days=-1)  # also what is of the future, as an object store has its own clock
PARTS_AT_ONCE = 16
ENOUGH = 500  # artifacts of which the database knows none


def installation_uid() -> str:
    """Return the uid of this installation, made at first use."""
    return Installation.objects.get_or_create(pk=ONLY)[0].uid


def forget_installation(alias: str) -> None:
    """Let no store belong to the database of this alias any more, as another has taken its place."""
    Installation.objects.using(alias).all().delete()


def take_store(files: ArtifactStore) -> bool:
    """Tell whether a store is this installation's; one without a mark that may be is marked.

    Raises: StoreUnavailable, StorageFull.
    """
    mark = files.read_mark()
    if mark is None and _may_be_own(files):
        files.write_mark(installation_uid())
        mark = files.read_mark()  # another hub may have done so at the same moment
    return mark == installation_uid()


def is_foreign(files: ArtifactStore) -> bool:
    """Tell whether a store is, or may be, another installation's. Writes nothing. Raises: StoreUnavailable."""
    mark = files.read_mark()
    if mark is None:
        return not _may_be_own(files)
    return not Installation.objects.filter(uid=mark).exists()


def _may_be_own(files: ArtifactStore) -> bool:
    """Tell whether a store without a mark is empty, or the database knows some of its artifacts."""
    seen, after = 0, ""
    while parts := files.parts(after=after, limit=PARTS_AT_ONCE):
        for part in parts:
            uids = files.uids_in(part, older_than=ANY_AGE)
            if Artifact.objects.filter(uid__in=uids[:ENOUGH], store=files.kind).exists():
                return True
            seen += len(uids)
            if seen >= ENOUGH:
                return False
        after = parts[-1]
    return not seen
