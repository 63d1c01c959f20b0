"""The tree around a run: what it was resumed from, what was resumed from its checkpoints, and what was released.

A run is resumed within its project, from one checkpoint, so all of it is a forest. One query reads how the runs of
the project hang together; what is near is chosen in memory, and one more query reads that.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from django.db.models import BigIntegerField, Count, F, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce
from django.urls import reverse

from artifacts.lineage.links import SHOWN_RUNS, Links, choose_runs, read_links
from artifacts.models import Artifact, ArtifactState, ArtifactType, TagValue
from runs.models import Run

SHOWN_NODES = 60
_OTHER_CHECKPOINTS = SHOWN_NODES - 2 * SHOWN_RUNS - 1  # beside the project, the runs and what they continue from
_LOUDEST = (TagValue.RELEASE, TagValue.CANDIDATE, TagValue.ARCHIVED)

Kind = Literal["project", "run", "checkpoint", "artifact"]


@dataclass(frozen=True, slots=True)
class Node:
    """A thing of the tree: `parent` is the index of the one before it, None for the first.

    `state` is a run's or project's status, or the tag of a checkpoint that says most, or `corrupt` or `removed`. `more`
    says what follows and is not shown, empty for nothing.
    """

    kind: Kind
    title: str
    detail: str
    path: str
    state: str
    parent: int | None
    is_current: bool = False
    more: str = ""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Nodes, each behind its parent. `earlier` counts generations of runs before the first one shown.

    `left_out` counts all runs that hang together with these and are not shown; `is_partial` tells that the project
    has more resumed runs than were looked at.
    """

    nodes: list[Node]
    earlier: int = 0
    left_out: int = 0
    is_partial: bool = False


class _RunRow(NamedTuple):
    run_id: int
    uid: str
    name: str
    status: str
    is_simulated: bool
    checkpoints: int


@dataclass(slots=True)
class _Product:
    """An artifact of a run, with its tags."""

    artifact_id: int
    uid: str
    name: str
    state: str
    step: int | None
    type: str
    tags: list[str] = field(default_factory=list)


def read_lineage(run: Run, *, current: Artifact | None = None) -> Lineage:
    """Return the tree around a run that the caller may see; `current` is the artifact to mark, None for the run.

    Two queries. All that is shown belongs to the run's project.
    """
    links = read_links(run.project)
    ancestors = links.ancestors(run.pk)
    shown = choose_runs(run.pk, ancestors, links)
    line = [run.pk, *ancestors]
    top = max(place for place, run_id in enumerate(line) if run_id in shown)
    connected = sum(1 for _ in links.below(line[-1]))
    nodes = _Builder(run, links, shown, current).build(line[top])
    return Lineage(nodes, len(line) - 1 - top, connected - len(shown), links.is_partial)


class _Builder:
    """Makes the nodes of the runs chosen."""

    def __init__(self, run: Run, links: Links, shown: set[int], current: Artifact | None) -> None:
        self._run, self._current = run, current
        self._continued = {links.before[run_id][0] for run_id in shown if run_id in links.before}
        self._after: dict[int, list[int]] = defaultdict(list)  # runs by the checkpoint that they continue from
        for child in (child for run_id in shown for child in links.after.get(run_id, ())):
            self._after[links.before[child][0]].append(child)
        marked = [current.pk] if current else []
        self._runs, self._products = read_rows(shown, [*self._continued, *marked])
        self._room = _OTHER_CHECKPOINTS
        self._nodes: list[Node] = []

    def build(self, top: int) -> list[Node]:
        """Return the nodes: the project, and all below the run `top`. A stack, as chains may be long."""
        project = self._run.project
        path = reverse("project", args=[project.uid])
        self._nodes.append(Node("project", project.name, "project", path, project.status, None))
        waiting = [(top, 0)]
        while waiting:
            run_id, parent = waiting.pop()
            waiting += reversed(self._add_run(run_id, parent))
        return self._nodes

    def _add_run(self, run_id: int, parent: int) -> list[tuple[int, int]]:
        """Add a run and its checkpoints; return the runs that come next, each with the index of its checkpoint."""
        row, place = self._runs[run_id], len(self._nodes)
        shown = [one for one in self._products.get(run_id, ()) if self._has_room(one)]
        hidden = row.checkpoints - sum(one.type == ArtifactType.CHECKPOINT for one in shown)
        is_current = self._current is None and run_id == self._run.pk
        detail = f"{row.status}, simulated" if row.is_simulated else row.status
        path, more = reverse("run", args=[row.uid]), _count(hidden, "checkpoint")
        self._nodes.append(Node("run", row.name, detail, path, row.status, parent, is_current, more))
        following: list[tuple[int, int]] = []
        for one in shown:
            after = self._after.get(one.artifact_id, [])
            known = [(child, len(self._nodes)) for child in after if child in self._runs]
            self._nodes.append(self._node_of(one, place, _count(len(after) - len(known), "run")))
            following += known
        return following

    def _has_room(self, one: _Product) -> bool:
        """Tell whether to show it: what runs continue from and what is marked always, others while there is room."""
        if one.artifact_id in self._continued or self._is_current(one):
            return True
        self._room -= 1
        return self._room >= 0

    def _is_current(self, one: _Product) -> bool:
        return self._current is not None and one.artifact_id == self._current.pk

    def _node_of(self, one: _Product, parent: int, more: str) -> Node:
        gone = {ArtifactState.CORRUPT: "damaged", ArtifactState.REMOVED: "removed"}.get(ArtifactState(one.state), "")
        state = one.state if gone else next((tag.value for tag in _LOUDEST if tag in one.tags), "")
        kind: Kind = "checkpoint" if one.type == ArtifactType.CHECKPOINT else "artifact"
        step = [] if one.step is None else [f"step {one.step:,}"]
        detail = " · ".join([*step, *([gone] if gone else []), *one.tags]) or one.type
        path = reverse("artifact", args=[one.uid])
        return Node(kind, one.name, detail, path, state, parent, self._is_current(one), more)


def _count(number: int, what: str) -> str:
    """Return what is not shown in words; empty for nothing."""
    return "" if number <= 0 else f"{number:,} more {what}{'' if number == 1 else 's'}"


def read_rows(run_ids: set[int], needed: list[int]) -> tuple[dict[int, _RunRow], dict[int, list[_Product]]]:
    """Return the runs by key, and by run the artifacts worth showing, by step: the needed ones, and what is tagged.

    One query for both, as pages that draw a lineage read much else.
    """
    rows = _run_columns(run_ids).union(_artifact_columns(run_ids, needed), all=True)
    runs: dict[int, _RunRow] = {}
    products: dict[int, dict[int, _Product]] = defaultdict(dict)
    for run_id, key, uid, name, state, kind, number, flag, tag in rows:
        if kind == "run":
            runs[run_id] = _RunRow(run_id, uid, name, state, bool(flag), number)
            continue
        product = products[run_id].setdefault(key, _Product(key, uid, name, state, number, kind))
        product.tags += [tag] if tag else []
    ordered = {run_id: sorted(some.values(), key=_by_step) for run_id, some in products.items()}
    return runs, ordered


def _by_step(one: _Product) -> tuple[int, int]:
    return one.step or 0, one.artifact_id


_COLUMNS = ("run_key", "key", "uid", "name", "what", "kind", "number", "flag", "tag")


def _run_columns(run_ids: set[int]) -> Any:
    """Return runs with the number of their checkpoints."""
    checkpoints = Artifact.objects.whole().filter(run=OuterRef("pk"), type=ArtifactType.CHECKPOINT).order_by()
    count = Subquery(checkpoints.values("run").annotate(count=Count("pk")).values("count"))
    rows = Run.objects.filter(pk__in=run_ids).order_by()
    return rows.annotate(
        run_key=F("pk"),
        key=F("pk"),
        what=F("status"),
        kind=Value("run"),
        number=Coalesce(count, 0, output_field=BigIntegerField()),
        flag=F("is_simulated"),
        tag=Value(""),
    ).values_list(*_COLUMNS)


def _artifact_columns(run_ids: set[int], needed: list[int]) -> Any:
    """Return artifacts, one row for each tag."""
    rows = Artifact.objects.whole().filter(Q(pk__in=needed) | Q(tags__isnull=False), run__in=run_ids).order_by()
    return rows.annotate(
        run_key=F("run_id"),
        key=F("pk"),
        what=F("state"),
        kind=F("type"),
        number=F("step"),
        flag=Value(value=False),
        tag=Coalesce(F("tags__value"), Value("")),
    ).values_list(*_COLUMNS)
