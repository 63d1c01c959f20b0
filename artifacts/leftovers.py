"""Files in the stores of which no row tells, or whose row says that they were deleted.

A process leaves them that is killed after its commit that an artifact is gone, and before it has removed the files.
Those of a removed checkpoint may come back with a backup of the store. A store that belongs to another installation is
left alone: its rows are in another database.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from artifacts.models import Artifact
from artifacts.ownership import take_store
from artifacts.storage import ArtifactStore, StoreUnavailable, stores

logger = logging.getLogger(__name__)
KEPT = timedelta(days=1)  # what is younger may be about to be recorded
PARTS_AT_ONCE = 16  # of some 1,300; with a step every 10 minutes all are looked at in 14 hours
UIDS_AT_ONCE = 500  # in one query


class LeftoverSweep:
    """Looks at a few parts of every store with every call, and begins anew after the last."""

    def __init__(self) -> None:
        self._after: dict[str, str] = {}
        self._foreign: set[str] = set()  # stores that were warned of

    def __call__(self) -> int:
        """Remove what no row tells of in the next parts of each store; return how many artifacts' files."""
        return sum(self._look_into(files) for files in stores())

    def _look_into(self, files: ArtifactStore) -> int:
        try:
            if not self._is_own(files):
                return 0
            parts = files.parts(after=self._after.get(files.kind, ""), limit=PARTS_AT_ONCE)
            self._after[files.kind] = parts[-1] if len(parts) == PARTS_AT_ONCE else ""
            return sum(_remove_unknown(files, files.uids_in(part, older_than=KEPT)) for part in parts)
        except StoreUnavailable as error:
            logger.warning("leftovers are looked for later: %s", error)
            return 0

    def _is_own(self, files: ArtifactStore) -> bool:
        """Tell whether a store belongs to this database, and warn once of one that does not."""
        is_own = take_store(files)
        if is_own:
            self._foreign.discard(files.kind)
        elif files.kind not in self._foreign:
            self._foreign.add(files.kind)
            logger.warning(
                "the store %s belongs to another installation or database: nothing is removed from it; "
                "`manage.py doctor` says what to do",
                files.kind,
            )
        return is_own


def _remove_unknown(files: ArtifactStore, uids: list[str]) -> int:
    count = 0
    for start in range(0, len(uids), UIDS_AT_ONCE):
        some = uids[start : start + UIDS_AT_ONCE]
        rows = Artifact.objects.filter(uid__in=some, store=files.kind, bytes_deleted_at=None)
        for uid in set(some) - set(rows.values_list("uid", flat=True)):
            files.delete(uid)
            logger.info("removed the files of the artifact %s, which should have none here", uid)
            count += 1
    return count
