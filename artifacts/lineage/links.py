"""How the runs of a project hang together, and which of them are near to one."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from projects.models import Project
from runs.models import Run

SHOWN_RUNS = 20  # of one picture
GENERATIONS = 4  # of runs shown before the one in question, and as many after it
MAX_LINKS = 20_000  # resumed runs of a project that are looked at, newest first


@dataclass(slots=True)
class Links:
    """By run the checkpoint it was resumed from and that checkpoint's run, and the runs resumed from each run.

    `is_partial` tells that there are more resumed runs than were looked at.
    """

    before: dict[int, tuple[int, int]] = field(default_factory=dict)
    after: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    is_partial: bool = False

    def add(self, run_id: int, checkpoint_id: int, parent_id: int) -> None:
        """Note that a run was resumed from a checkpoint of another."""
        self.before[run_id] = checkpoint_id, parent_id
        self.after[parent_id].append(run_id)

    def ancestors(self, run_id: int) -> list[int]:
        """Return the runs before, nearest first, each once."""
        found: dict[int, None] = {}
        while run_id in self.before and self.before[run_id][1] not in found:
            run_id = self.before[run_id][1]
            found[run_id] = None
        return list(found)

    def below(self, run_id: int, generations: int | None = None) -> Iterator[int]:
        """Yield the run and those after it, nearest first, so many generations or all; each once."""
        waiting, seen = deque([(run_id, 0)]), {run_id}
        while waiting:
            place, depth = waiting.popleft()
            yield place
            if generations is None or depth < generations:
                new = [other for other in self.after.get(place, ()) if other not in seen]
                seen.update(new)
                waiting.extend((other, depth + 1) for other in new)


def read_links(project: Project) -> Links:
    """Return how the runs of a project hang together, oldest first: a few numbers a run. One query."""
    resumed = Run.objects.not_deleted().filter(project=project, resumed_from__isnull=False).order_by("-pk")
    rows = list(resumed.values_list("pk", "resumed_from_id", "resumed_from__run_id")[: MAX_LINKS + 1])
    links = Links(is_partial=len(rows) > MAX_LINKS)
    for row in reversed(rows[:MAX_LINKS]):
        links.add(*row)
    return links


def choose_runs(run_id: int, ancestors: Sequence[int], links: Links) -> set[int]:
    """Return the runs to show, at most SHOWN_RUNS: those before, those after, then those beside.

    Together they are a tree: each but the first was resumed from another of them.
    """
    near = [run_id, *ancestors[:GENERATIONS]]
    shown = set(near)
    for place in near:
        for other in links.below(place, GENERATIONS if place == run_id else 1):
            if len(shown) == SHOWN_RUNS:
                return shown
            shown.add(other)
    return shown
