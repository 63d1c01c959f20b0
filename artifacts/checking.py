"""Comparing the store with the database, both ways: files that are missing, and bytes that no row tells of.

A check goes on step by step, so that the scheduler can do it between its passes and after a restart. It changes
nothing but its own row: a disk that is not mounted makes no checkpoint damaged. With hashes, what has all of its files
is verified as `verify_artifact` does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from artifacts.models import Artifact, ArtifactState, StoreCheck
from artifacts.storage import ArtifactStore, StoreUnavailable, store_of, stores
from artifacts.verification import verify_artifact, where_files_are
from runs.scheduler.sweeps import SLICE_SECONDS
from trainhub.errors import ArtifactDamaged, Conflict, NotFound

logger = logging.getLogger(__name__)
CHECK_EVERY = timedelta(days=1)  # of the scheduler
LOOK_EVERY = timedelta(minutes=10)  # whether a check is due
YOUNG = timedelta(hours=1)  # what was put into the store since may be about to be recorded
KEPT_CHECKS = 30
KEPT_FINDINGS = 200  # of each side, in the row of a check
_ARTIFACTS_AT_ONCE = 5  # in one step; an object store answers some 50 questions a second
_PARTS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit.

    Of the database: a file that is `missing`, has another `size`, or is `damaged`; an artifact that is `unreachable`.
    Of the store: bytes of an artifact that is `unknown`, or a `leftover` of one whose bytes were removed, or whose
    manifest does not name them.
    """

    kind: str
    artifact: str
    file: str = ""

    @property
    def is_of_store(self) -> bool:
        """Whether bytes are there that should not be."""
        return self.kind in {"unknown", "leftover"}


def step_check(check: StoreCheck) -> list[Finding] | None:
    """Go on with a check; return what this step found, None when the check had ended, here or elsewhere.

    The row is written once, and only by the first of two who do the same step. Raises: StoreUnavailable when a store
    is away; the same step can be done later.
    """
    if check.finished_at is not None:
        return None
    phase, _, place = check.cursor.partition(":")
    before = check.cursor
    counts = {"artifacts": 0, "files": 0, "size_bytes": 0}
    if phase == "parts":
        found, next_place = _compare_parts(place)
        is_last, cursor = next_place is None, f"parts:{next_place or place}"
    else:
        rows = list(with_bytes().filter(pk__gt=int(place or 0)).order_by("pk")[:_ARTIFACTS_AT_ONCE])
        found = [finding for row in rows for finding in _compare(row, with_hashes=check.with_hashes)]
        counts["artifacts"] = len(rows)
        counts["files"] = sum(len(row.manifest) for row in rows)
        counts["size_bytes"] = sum(row.size_bytes for row in rows)
        is_last, cursor = False, f"artifacts:{rows[-1].pk}" if rows else "parts:"
    return found if _record(check, before, cursor, counts, found, is_last=is_last) else None


def _record(
    check: StoreCheck, before: str, cursor: str, counts: dict[str, int], found: list[Finding], *, is_last: bool
) -> bool:
    """Store a step; False when somebody else has done the same one."""
    of_store = [finding for finding in found if finding.is_of_store]
    others = [finding for finding in found if not finding.is_of_store]
    room = KEPT_FINDINGS - min(check.unknown, KEPT_FINDINGS), KEPT_FINDINGS - min(check.missing, KEPT_FINDINGS)
    findings = [*check.findings, *map(asdict, of_store[: room[0]]), *map(asdict, others[: room[1]])]
    changes: dict[str, Any] = {name: F(name) + count for name, count in counts.items()}
    changes |= {"unknown": F("unknown") + len(of_store), "missing": F("missing") + len(others)}
    changes |= {"cursor": cursor, "findings": findings, "finished_at": timezone.now() if is_last else None}
    won = StoreCheck.objects.filter(pk=check.pk, cursor=before, finished_at=None).update(**changes)
    check.refresh_from_db()
    return bool(won)


def with_bytes() -> QuerySet[Artifact]:
    """Return the artifacts whose files must be there: whole ones, and what clients were told is stored."""
    told = Q(is_from_client=True, state=ArtifactState.WRITING) & ~Q(digest="")
    whole = Q(state__in=[ArtifactState.COMPLETE, ArtifactState.VERIFIED, ArtifactState.CORRUPT])
    return Artifact.objects.filter(told | whole, run__deleted_at=None)


def _compare(artifact: Artifact, *, with_hashes: bool) -> list[Finding]:
    """Return what is wrong with the files of an artifact, looked at again where they are replaced or moved."""
    found = list(_compare_sizes(artifact))
    while found:
        now = with_bytes().filter(pk=artifact.pk).first()
        if now is None:
            return []  # removed meanwhile
        if where_files_are(now) == where_files_are(artifact):
            break
        artifact = now
        found = list(_compare_sizes(artifact))
    is_all_there = all(finding.is_of_store for finding in found)
    if with_hashes and is_all_there and artifact.state != ArtifactState.WRITING:
        found += _compare_hashes(artifact)
    return found


def _compare_sizes(artifact: Artifact) -> Iterator[Finding]:
    try:
        files = store_of(artifact)
    except StoreUnavailable:  # no setting names it any more; one that is only away raises when it is asked
        yield Finding("unreachable", artifact.uid)
        return
    sizes = files.sizes(artifact.uid)
    for index, entry in enumerate(artifact.manifest):
        size = sizes.pop(artifact.file_number(index), None)
        if size != entry["size_bytes"]:
            yield Finding("missing" if size is None else "size", artifact.uid, entry["name"])
    if sizes and sizes.keys() - files.being_received(artifact.uid):
        yield Finding("leftover", artifact.uid)


def _compare_hashes(artifact: Artifact) -> Iterator[Finding]:
    try:
        verify_artifact(artifact=artifact)
    except ArtifactDamaged as error:
        yield Finding("damaged", artifact.uid, str(error.extra["file"]))
    except StoreUnavailable:  # its listing could just be had: the others do not wait for it
        yield Finding("unreachable", artifact.uid)
    except (NotFound, Conflict):
        return  # removed meanwhile, or written again


def _compare_parts(place: str) -> tuple[list[Finding], str | None]:
    """Compare the next parts of one store, after `place` ("" or store/part); return the next place, None at the end."""
    kind, _, after = place.partition("/")
    left = [one for one in stores() if one.kind >= kind]
    if not left:
        return [], None
    files = left[0]
    parts = files.parts(after=after if files.kind == kind else "", limit=_PARTS_AT_ONCE)
    found = [finding for part in parts for finding in _compare_part(files, part)]
    if len(parts) == _PARTS_AT_ONCE:
        return found, f"{files.kind}/{parts[-1]}"
    return found, f"{left[1].kind}/" if len(left) > 1 else None


def _compare_part(files: ArtifactStore, part: str) -> Iterator[Finding]:
    """Yield what lies in a part of a store and should not."""
    uids = sorted(files.uids_in(part, older_than=YOUNG))
    known = Artifact.objects.filter(uid__in=uids, store=files.kind)
    rows = dict(known.values_list("uid", "bytes_deleted_at"))
    for uid in uids:
        if uid not in rows:
            yield Finding("unknown", uid)
        elif rows[uid] is not None:
            yield Finding("leftover", uid)


def check_some() -> bool:
    """Go on with the scheduler's check for a moment, or begin one that is due; tell whether it goes on.

    While a store is away it waits.
    """
    check = StoreCheck.objects.filter(by_command=False).order_by("-pk").first()
    if check is None or (check.finished_at is not None and check.started_at < timezone.now() - CHECK_EVERY):
        check = begin_check()
    deadline = time.monotonic() + SLICE_SECONDS
    while check is not None and check.finished_at is None:
        try:
            if step_check(check) is None:
                return False  # another scheduler is at it
        except StoreUnavailable as error:
            logger.warning("the store is compared with the database later: %s", error)
            return False
        if time.monotonic() >= deadline:
            return check.finished_at is None
    return False


def begin_check(*, by_command: bool = False, with_hashes: bool = False) -> StoreCheck | None:
    """Return a new check, None when another scheduler has just begun one. Old ones are forgotten."""
    try:
        with transaction.atomic():
            check = StoreCheck.objects.create(by_command=by_command, with_hashes=with_hashes)
    except IntegrityError:
        return None
    old = StoreCheck.objects.order_by("-pk").values_list("pk", flat=True)[KEPT_CHECKS:]
    StoreCheck.objects.filter(pk__in=list(old)).delete()
    return check


def last_check() -> StoreCheck | None:
    """Return the newest check that has ended."""
    return StoreCheck.objects.filter(finished_at__isnull=False).order_by("-finished_at", "-pk").first()
