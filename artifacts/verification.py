"""Comparing the stored bytes of artifacts with their manifests."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress

from django.db import transaction
from django.utils import timezone

from artifacts.keeping.removed import refuse_removed
from artifacts.models import Artifact, ArtifactState
from artifacts.storage import StoreUnavailable, store_of
from trainhub.errors import ArtifactDamaged, Conflict, NotFound

logger = logging.getLogger(__name__)
READ_AT_ONCE_BYTES = 64 * 1024 * 1024  # of an object store, within a request: about half a second
AGAIN_SECONDS = 15.0  # until an artifact is read again that the store did not give


def verify_artifact(*, artifact: Artifact) -> Artifact:
    """Hash the stored bytes again and note the result. Reads all of them: about 1 s for each GB.

    Raises: ArtifactDamaged (409) naming the first file that is missing or differs; the artifact is `corrupt` then.
    StoreUnavailable (503), which changes nothing. NotFound when a client removed it meanwhile, or writes to it again.
    Conflict when its bytes were removed by rule.
    """
    refuse_removed(artifact)
    while (damaged := _first_damaged(artifact)) is not None and not _note_damage(artifact, damaged):
        pass  # a client replaced the file while it was read, or somebody moved it
    if damaged is None:
        if artifact.state == ArtifactState.CORRUPT:  # an operator has put the bytes back
            artifact.damaged_file = ""
        artifact.state = ArtifactState.VERIFIED
        artifact.verified_at = timezone.now()
        # One that its client overwrites again is whole when that is done, not before.
        kept = Artifact.objects.filter(pk=artifact.pk).exclude(state__in=[ArtifactState.WRITING, ArtifactState.REMOVED])
        if not kept.update(state=artifact.state, verified_at=artifact.verified_at, damaged_file=artifact.damaged_file):
            raise NotFound("The artifact was removed, or is written again.")
        return artifact
    refuse_removed(as_it_is_now(artifact))  # its bytes went while they were read
    raise ArtifactDamaged(
        f"The stored bytes of {artifact.uid} are damaged: {damaged} is missing or does not match its SHA-256.",
        artifact=artifact.uid,
        file=damaged,
    )


def compare_mended(artifact: Artifact) -> None:
    """Compare an artifact at once that is `corrupt` without a damaged file, where its bytes are few.

    Its damaged file was replaced; nobody knows of the others, as only the first one is noted. What is large, or in a
    store that is away, the scheduler compares where there is an object store; without one it stays `corrupt` until
    somebody verifies it.
    """
    is_mended = artifact.state == ArtifactState.CORRUPT and not artifact.damaged_file
    if is_mended and artifact.size_bytes <= READ_AT_ONCE_BYTES:
        with suppress(ArtifactDamaged, Conflict, NotFound, StoreUnavailable):  # the first is noted
            verify_artifact(artifact=artifact)


def as_it_is_now(artifact: Artifact) -> Artifact:
    """Return the state of an artifact. Raises: NotFound when it is gone."""
    now = Artifact.objects.only("state", "removed_at").filter(pk=artifact.pk).first()
    if now is None:
        raise NotFound("The artifact was removed.")
    return now


def _first_damaged(artifact: Artifact) -> str | None:
    files = store_of(artifact)
    for index, entry in enumerate(artifact.manifest):
        try:
            is_whole = files.digest(artifact.uid, artifact.file_number(index)) == entry["sha256"]
        except OSError:
            is_whole = False
        if not is_whole:
            return str(entry["name"])
    return None


def where_files_are(artifact: Artifact) -> tuple[str, list[int], str]:
    """Return what tells whether the files of an artifact are other ones by now, or in another place."""
    return artifact.digest, artifact.places, artifact.store


def _note_damage(artifact: Artifact, file: str) -> bool:
    """Note a damaged file; False when the files are other ones by now, or elsewhere: `artifact` knows them then.

    Raises: NotFound when it is gone.
    """
    with transaction.atomic():
        now = Artifact.objects.select_for_update().filter(pk=artifact.pk).first()
        if now is None:
            raise NotFound("The artifact was removed.")
        if where_files_are(now) != where_files_are(artifact):
            artifact.manifest, artifact.digest, artifact.places, artifact.store = now.manifest, *where_files_are(now)
            return False
        known = now.state == ArtifactState.CORRUPT and now.damaged_file == file[:500]
        if not known and now.state != ArtifactState.REMOVED:
            now.state, now.damaged_file = ArtifactState.CORRUPT, file[:500]
            now.save(update_fields=["state", "damaged_file"])
            artifact.run.events.create(
                kind="artifact_damaged",
                actor="trainhub",
                message=f"{artifact.name}: {file}"[:1000],
                evidence={"artifact": artifact.uid, "file": file},
            )
    return True


def check_sizes(artifact: Artifact) -> None:
    """Raise ArtifactDamaged (409) for an artifact that is known to be damaged, or of which a file is not all there."""
    while (missing := _first_missing(artifact)) is not None and not _note_damage(artifact, missing):
        pass  # as in `verify_artifact`
    if missing is not None or artifact.state == ArtifactState.CORRUPT:
        file = artifact.damaged_file if missing is None else missing
        raise ArtifactDamaged(
            f"The stored bytes of {artifact.uid} are damaged: {file}.", artifact=artifact.uid, file=file
        )


def _first_missing(artifact: Artifact) -> str | None:
    sizes = {artifact.file_number(index): entry["size_bytes"] for index, entry in enumerate(artifact.manifest)}
    names = {artifact.file_number(index): str(entry["name"]) for index, entry in enumerate(artifact.manifest)}
    missing = store_of(artifact).missing(artifact.uid, sizes)
    return names[missing[0]] if missing else None


class Verifier:
    """Verifies what is complete, then what was mended, one with each call, the smallest first; for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: set[int] = set()
        self._later: dict[int, float] = {}  # what the store did not give, and when (monotonic) to ask again

    def __call__(self) -> bool:
        """Read and compare one artifact; tell whether there was one. Raises: StoreUnavailable."""
        artifact = self._take()
        if artifact is None:
            return False
        try:
            verify_artifact(artifact=artifact)
        except (ArtifactDamaged, Conflict, NotFound) as problem:
            logger.warning("%s", problem)
        except StoreUnavailable:
            self._later[artifact.pk] = time.monotonic() + AGAIN_SECONDS  # others are not to wait for it
            raise
        finally:
            with self._lock:
                self._busy.discard(artifact.pk)
        return True

    def _take(self) -> Artifact | None:
        kept = Artifact.objects.filter(run__deleted_at=None).select_related("run").order_by("size_bytes", "id")
        with self._lock:
            self._later = {pk: at for pk, at in self._later.items() if at > time.monotonic()}
            others = kept.exclude(pk__in=[*self._busy, *self._later])
            artifact: Artifact | None = (
                others.filter(state=ArtifactState.COMPLETE).first()
                or others.filter(state=ArtifactState.CORRUPT, damaged_file="").first()
            )
            if artifact is not None:
                self._busy.add(artifact.pk)
        return artifact
