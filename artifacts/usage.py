"""What takes room in the store: by project, by run and by artifact, and what keeps each checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db.models import Count, F, Q, QuerySet, Sum

from artifacts.keeping.plan import verdicts_of
from artifacts.keeping.rule import Reason, Verdict
from artifacts.models import Artifact, ArtifactState, ArtifactType
from projects.models import Project
from runs.models import Run
from trainhub.api.paging import PageRequest

_WITHOUT_VERDICT = {ArtifactState.WRITING: "it is being written", ArtifactState.REMOVED: "its bytes are gone"}


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A project, a run or an artifact, and what it takes.

    What a row is not has None. `kept_by` is what keeps a checkpoint, and `goes` tells that nothing does; of other
    artifacts `why` says that they stay with their run.
    """

    project_uid: str
    project_name: str
    size_bytes: int
    artifacts: int
    checkpoint_bytes: int
    run_uid: str | None = None
    run_name: str | None = None
    uid: str | None = None
    name: str | None = None
    type: str | None = None
    state: str | None = None
    step: int | None = None
    created_at: datetime | None = None
    kept_by: tuple[Reason, ...] = ()
    goes: bool | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """A page of rows, largest first; `size_bytes` and `artifacts` are of all rows, `total` is how many those are."""

    rows: list[UsageRow]
    total: int
    size_bytes: int
    artifacts: int


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of the store, in bytes."""

    free_bytes: int
    total_bytes: int


def read_usage(found: QuerySet[Artifact], level: str, wanted: PageRequest, *, now: datetime) -> Usage:
    """Return a page of what `found` artifacts take: a row for each project, run or artifact, as `level` says.

    Two queries, summed in the database; for artifacts at most eight more, which tell what keeps checkpoints.
    """
    found = found.order_by()
    page = slice(wanted.start, wanted.start + wanted.size)
    if level == "artifact":
        sums = found.aggregate(total=Count("pk"), size=Sum("size_bytes", default=0))
        return Usage(_artifacts(found, page, now), sums["total"], sums["size"], sums["total"])
    key = "run" if level == "run" else "run__project"
    sums = found.aggregate(total=Count(key, distinct=True), size=Sum("size_bytes", default=0), artifacts=Count("pk"))
    return Usage(_groups(found, key, page), sums["total"], sums["size"], sums["artifacts"])


def _groups(found: QuerySet[Artifact], key: str, page: slice) -> list[UsageRow]:
    """Return a row for each group, largest first; names are looked up for the page alone, after summing."""
    of_checkpoints = Sum("size_bytes", filter=Q(type=ArtifactType.CHECKPOINT), default=0)
    sums = found.values(key).annotate(size=Sum("size_bytes"), count=Count("pk"), checkpoints=of_checkpoints)
    rows = list(sums.order_by("-size", f"-{key}")[page])
    names = _names(key, [row[key] for row in rows])
    return [
        UsageRow(**names[row[key]], size_bytes=row["size"], artifacts=row["count"], checkpoint_bytes=row["checkpoints"])
        for row in rows
    ]


def _names(key: str, keys: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return how the runs or projects of these keys are called."""
    found: Any = Project.objects.filter(pk__in=keys)
    names = {"project_uid": F("uid"), "project_name": F("name")}
    if key == "run":
        found = Run.objects.filter(pk__in=keys)
        of_project = {"project_uid": F("project__uid"), "project_name": F("project__name")}
        names = {"run_uid": F("uid"), "run_name": F("name"), **of_project}
    return {row.pop("key"): row for row in found.order_by().values(key=F("pk"), **names)}


def _artifacts(found: QuerySet[Artifact], page: slice, now: datetime) -> list[UsageRow]:
    """Return a row for each artifact, largest first, with what keeps it."""
    rows = found.order_by("-size_bytes", "-id").values(
        *("pk", "uid", "name", "type", "state", "step", "size_bytes", "created_at", "run_id"),
        project_uid=F("run__project__uid"),
        project_name=F("run__project__name"),
        run_uid=F("run__uid"),
        run_name=F("run__name"),
    )[page]
    rows = list(rows)
    runs = {row["run_id"] for row in rows if row["type"] == ArtifactType.CHECKPOINT}
    verdicts = {verdict.checkpoint.artifact_id: verdict for verdict in verdicts_of(runs, now=now)}
    return [_artifact_row(row, verdicts.get(row["pk"])) for row in rows]


def _artifact_row(row: dict[str, Any], verdict: Verdict | None) -> UsageRow:
    is_checkpoint = row["type"] == ArtifactType.CHECKPOINT
    told = {name: value for name, value in row.items() if name not in {"pk", "run_id"}}
    row_of = partial(UsageRow, **told, artifacts=1, checkpoint_bytes=row["size_bytes"] if is_checkpoint else 0)
    if verdict is not None:
        return row_of(kept_by=verdict.kept_by, goes=verdict.goes, why=verdict.why)
    return row_of(why=_WITHOUT_VERDICT.get(row["state"], "it stays as long as its run"))


def disk_of_store() -> Disk | None:
    """Return how much room the file system of the store has; None when nobody can tell."""
    try:
        found = shutil.disk_usage(settings.DATA_DIR / "store")
    except OSError:
        return None
    return Disk(free_bytes=found.free, total_bytes=found.total)


def level_of(query: Mapping[str, Any]) -> str:
    """Return what a row is by the values of StorageFilter: project, run or artifact."""
    return query.get("by") or "project"
