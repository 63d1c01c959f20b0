"""The artifacts of a run by type, and the metrics at the steps of its checkpoints."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from django.db.models import BigIntegerField, Case, Count, F, Sum, When, Window
from django.db.models.functions import RowNumber

from artifacts.models import Artifact, ArtifactState, ArtifactType
from runs.models import Run
from runs.telemetry.at_steps import Mark, ValueAt, read_values_at
from trainhub.api.paging import PageRequest

SHOWN_OF_EACH = 20  # newest artifacts of a type, beside those of other types
SHOWN_METRICS = 4

TITLES = {
    ArtifactType.CHECKPOINT: "Checkpoints",
    ArtifactType.EVALUATION: "Evaluations",
    ArtifactType.CONFIG: "Configurations",
    ArtifactType.TENSORBOARD: "TensorBoard",
    ArtifactType.OTHER: "Other files",
}
_ORDER = [kind.value for kind in TITLES]
# What tells most about a checkpoint comes first; where nothing fits, other metrics do but for those of the machine.
_MAIN = (
    r"(?:train[/_.-])?loss",
    r"(?:val|valid|validation|eval|test)[/_.-]?loss",
    r".*loss.*",
    r".*(?:perplexity|ppl)",
    r".*(?:accuracy|acc|f1|bleu|rouge\w*|exact_match|reward|score)",
)
_BESIDE_THE_POINT = re.compile(r"system/.*|.*(?:learning_rate|lr|grad_norm|epoch|throughput|per_s|utilization).*")


@dataclass(frozen=True, slots=True)
class Row:
    """An artifact, and each metric of its group with the value at its step, None where there is none near."""

    artifact: Artifact
    values: list[tuple[str, ValueAt | None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Group:
    """The artifacts of one type: `count` and `size_bytes` are of all, `rows` the newest, or a page of them.

    Removed checkpoints count, and have no bytes.
    """

    type: str
    count: int
    size_bytes: int
    rows: list[Row]
    metrics: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What the group is called."""
        return TITLES[ArtifactType(self.type)]

    @property
    def is_cut(self) -> bool:
        """Whether there are more than the rows."""
        return self.count > len(self.rows)


def newest_by_type(run: Run) -> list[Group]:
    """Return the newest artifacts of each type that `run` has, with the metrics at its checkpoints.

    At most 8 queries, one of which reads artifacts, counts and sizes of all types.
    """
    found = (
        run.artifacts.whole()
        .with_tags()
        .annotate(place=Window(RowNumber(), partition_by="type", order_by=["-created_at", "-id"]), **_sums())
    )
    rows = list(found.filter(place__lte=SHOWN_OF_EACH).select_related("attempt").defer("manifest"))
    return [_with_metrics(run, group) for group in group_by_type(rows)]


def page_of_type(run: Run, kind: ArtifactType, wanted: PageRequest) -> Group:
    """Return a page of the artifacts of one type, newest first; past the end it has no rows."""
    rows = run.artifacts.whole().with_tags().filter(type=kind)
    found = rows.annotate(**_sums()).order_by("-created_at", "-id").select_related("attempt").defer("manifest")
    for group in group_by_type(list(found[wanted.start : wanted.start + wanted.size])):
        return _with_metrics(run, group)
    sums = rows.aggregate(count=Count("pk"), size=Sum(_kept_bytes(), default=0))
    return Group(kind, sums["count"], sums["size"], [])


def _kept_bytes() -> Case:
    """Return the bytes that an artifact takes: none when the project's rule removed it."""
    return Case(When(state=ArtifactState.REMOVED, then=0), default=F("size_bytes"), output_field=BigIntegerField())


def _sums() -> dict[str, Window]:
    return {
        "count_of_type": Window(Count("pk"), partition_by="type"),
        "size_of_type": Window(Sum(_kept_bytes()), partition_by="type"),
    }


def group_by_type(artifacts: Iterable[Artifact]) -> list[Group]:
    """Return the artifacts by type, each group newest first; counts are of those given where no others are known."""
    ordered = sorted(artifacts, key=attrgetter("created_at", "pk"), reverse=True)
    ordered.sort(key=lambda artifact: _ORDER.index(artifact.type))
    groups = []
    for kind, some in groupby(ordered, key=attrgetter("type")):
        rows = [Row(artifact) for artifact in some]
        first = rows[0].artifact
        count = getattr(first, "count_of_type", len(rows))
        size = getattr(first, "size_of_type", sum(row.artifact.size_bytes for row in rows))
        groups.append(Group(kind, count, size, rows))
    return groups


def _with_metrics(run: Run, group: Group) -> Group:
    """Add what the metrics were at the step of each checkpoint."""
    if group.type != ArtifactType.CHECKPOINT:
        return group
    marks = {row.artifact.pk: _mark(row.artifact) for row in group.rows if row.artifact.step is not None}
    places = list(dict.fromkeys(marks.values()))
    names, found = read_values_at(run_id=run.pk, marks=places, choose=choose_main)
    values = dict(zip(places, found, strict=True))
    rows = []
    for row in group.rows:
        mark = marks.get(row.artifact.pk)
        near = values[mark] if mark else {}
        rows.append(Row(row.artifact, [(name, near.get(name)) for name in names]))
    return Group(group.type, group.count, group.size_bytes, rows, names)


def values_at(artifact: Artifact) -> list[tuple[str, ValueAt]]:
    """Return the main metrics at the step of one checkpoint; at most 6 queries."""
    if artifact.step is None or artifact.type != ArtifactType.CHECKPOINT:
        return []
    names, (found,) = read_values_at(run_id=artifact.run_id, marks=[_mark(artifact)], choose=choose_main)
    return [(name, found[name]) for name in names if name in found]


def _mark(artifact: Artifact) -> Mark:
    assert artifact.step is not None
    return Mark(artifact.step, artifact.attempt.number if artifact.attempt else None)


def choose_main(names: Collection[str]) -> Sequence[str]:
    """Return the metrics that tell most about a checkpoint, at most SHOWN_METRICS of `names`."""
    told = [name for name in sorted(names) if not _BESIDE_THE_POINT.fullmatch(name)]
    chosen: dict[str, None] = {}
    for pattern in _MAIN:
        chosen.update(dict.fromkeys(name for name in told if re.fullmatch(pattern, name, re.IGNORECASE)))
    chosen.update(dict.fromkeys(told))
    return list(chosen)[:SHOWN_METRICS]
