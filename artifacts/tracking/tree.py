"""What a run or a logged model has, as one tree of folders and files."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from artifacts.models import Artifact, ArtifactState, LoggedModel
from artifacts.querysets import ArtifactQuerySet
from artifacts.tracking.files import check_path, index_of
from artifacts.tracking.places import above
from runs.models import Run
from trainhub.errors import NotFound


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, or a folder, which has no size; `path` begins at the root of the tree."""

    path: str
    size_bytes: int | None = None

    @property
    def is_directory(self) -> bool:
        """Whether it is a folder."""
        return self.size_bytes is None


def artifacts_of_run(run: Run) -> ArtifactQuerySet:
    """Return what the tree of a run shows: what its runner brought whole, and each file that a client put.

    A file that was acknowledged can be read at once, also where it is a part of a checkpoint that is not whole yet.
    """
    readable = Q(is_from_client=True) & ~Q(digest="") | Q(is_from_client=False) & ~Q(state=ArtifactState.WRITING)
    return Artifact.objects.filter(readable, run=run, logged_model=None).exclude(state=ArtifactState.REMOVED)


def artifacts_of_model(model: LoggedModel) -> ArtifactQuerySet:
    """Return what the tree of a logged model shows."""
    return Artifact.objects.filter(logged_model=model).exclude(digest="")


def list_folder(rows: ArtifactQuerySet, path: str) -> list[Entry]:
    """Return what lies in a folder of the tree of `rows`, by path; empty where it is a file or nothing is there.

    `path` is empty for the root. Two queries. Raises: PathRefused for a path that is not safe.
    """
    if path:
        check_path(path)
    found: dict[str, Entry] = {}
    start = f"{path}/" if path else ""
    sources = rows.filter(source__startswith=start) if start else rows
    columns = sources.order_by("-is_from_client", "-id").values_list("source", "is_directory", "size_bytes")
    for source, is_directory, size_bytes in columns:
        if source.startswith(start):  # SQLite finds other cases, too
            _add(found, start, source, None if is_directory else size_bytes)
    for artifact in rows.filter(source__in=above(path), is_directory=True) if path else ():
        for entry in artifact.manifest:
            full = f"{artifact.source}/{entry['name']}"
            if full.startswith(start):
                _add(found, start, full, entry["size_bytes"])
    return [found[name] for name in sorted(found)]


def _add(found: dict[str, Entry], start: str, path: str, size_bytes: int | None) -> None:
    """Note the part of `path` that follows `start`: a folder where the path goes on."""
    name, _, rest = path[len(start) :].partition("/")
    found.setdefault(name, Entry(start + name, None if rest else size_bytes))


def find_file(rows: ArtifactQuerySet, path: str) -> tuple[Artifact, int]:
    """Return the artifact in which a file lies and its index there; of several what a client put, then the newest.

    Raises: PathRefused for a path that is not safe, NotFound.
    """
    check_path(path)
    inner_first = sorted(
        rows.filter(source__in=above(path)).select_related("run__project"),
        key=lambda one: (one.is_from_client, len(one.source), one.pk),
        reverse=True,
    )
    for artifact in inner_first:
        if artifact.is_directory:
            index = index_of(artifact, path[len(artifact.source) + 1 :])
        else:
            index = 0 if artifact.source == path and artifact.manifest else None
        if index is not None:
            return artifact, index
    raise NotFound(f"There is no file {path!r}.")
