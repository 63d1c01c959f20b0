"""Files that tracking clients remove: one, or all below a folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import transaction
from django.db.models import Q

from artifacts.models import Artifact, ArtifactState
from artifacts.tracking.files import (
    Unneeded,
    check_path,
    is_fixed,
    is_whole_checkpoint,
    remove_bytes,
    save_files,
    unchangeable,
)
from artifacts.tracking.places import above
from artifacts.verification import compare_mended
from runs.deletion import lock_kept
from runs.models import Run


def delete_files(*, run: Run, path: str, groups: Iterable[Artifact] | None = None) -> int:
    """Remove a file, or all files below a folder; nothing there is fine. Returns how many were removed.

    `groups` are the artifacts to look in, else all that clients made for the run.

    Raises: PathRefused when the path is not safe, or one of the files is in an artifact that nobody may change any
    more, be it the runner's; NotFound when the run was deleted. Then nothing is removed.
    """
    check_path(path)
    if groups is None:
        touched = Q(source__in=above(path)) | Q(source__startswith=f"{path}/")
        rows = Artifact.objects.filter(touched, run=run, logged_model=None)
        groups = rows.exclude(state=ArtifactState.REMOVED)
    count = 0
    unneeded: list[Unneeded] = []
    changed: list[Artifact] = []
    with transaction.atomic():
        lock_kept(run.pk)  # first, as who registers a checkpoint does
        for group in Artifact.objects.select_for_update().filter(pk__in=[one.pk for one in groups]).order_by("pk"):
            indexes = _indexes_below(group, path)
            if not indexes or not (group.is_from_client or group.state != ArtifactState.WRITING):
                continue
            if not group.is_from_client or is_whole_checkpoint(group) or is_fixed(group):
                raise unchangeable(group)
            count += len(indexes)
            unneeded += take_out(group, indexes)
            changed.append(group)
    remove_bytes(unneeded)
    for group in changed:
        compare_mended(group)
    return count


def _indexes_below(group: Artifact, path: str) -> set[int]:
    """Return which files of an artifact lie at a path or below it."""
    if group.source == path or group.source.startswith(f"{path}/"):
        return set(range(len(group.manifest)))
    if not group.is_directory:
        return set()
    name = path[len(group.source) + 1 :]
    names = (entry["name"] for entry in group.manifest)
    return {index for index, one in enumerate(names) if one == name or one.startswith(f"{name}/")}


def take_out(group: Artifact, indexes: Collection[int]) -> list[Unneeded]:
    """Take files out of the manifest, and delete the artifact when none is left; return the bytes to remove.

    Call in a transaction that has locked the artifact.
    """
    kept = [index for index in range(len(group.manifest)) if index not in indexes]
    if not kept:
        group.delete()
        return [(group, None)]
    taken: list[Unneeded] = [(group, group.file_number(index)) for index in indexes]
    group.places = [group.file_number(index) for index in kept]
    group.manifest = [group.manifest[index] for index in kept]
    if group.state == ArtifactState.CORRUPT and group.damaged_file not in {e["name"] for e in group.manifest}:
        group.damaged_file = ""  # others may be damaged as well: call `compare_mended` after the commit
    save_files(group)
    return taken
