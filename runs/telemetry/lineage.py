"""A run and what it was resumed from, generation by generation: the parts of one stitched series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from runs.querysets import RunQuerySet
from runs.telemetry.points import INT64_MAX
from runs.telemetry.shelf import RunCounter
from runs.telemetry.timeline import BegunAttempt, Timeline, make_timeline

MAX_GENERATIONS = 50  # of one story, the run itself among them


@dataclass(frozen=True, slots=True)
class Part:
    """One run of a story, what of it is shown, and what was counted when the story was read."""

    run_id: int
    uid: str
    timeline: Timeline
    counter: RunCounter


@dataclass(frozen=True, slots=True)
class Story:
    """A run, after the runs that it goes on from, oldest first. `began` is when the oldest did, None if unknown."""

    parts: tuple[Part, ...]
    began: datetime | None

    @property
    def run_id(self) -> int:
        """Id of the run that the story is about."""
        return self.parts[-1].run_id

    @property
    def uid(self) -> str:
        """Uid of that run."""
        return self.parts[-1].uid


@dataclass(frozen=True, slots=True)
class _Generation:
    """A run with its attempts, newest first, and the checkpoint it was resumed from: run, step and attempt of that."""

    run_id: int
    uid: str
    began: datetime | None
    parent: int | None
    step: int | None
    attempt: int | None
    counter: RunCounter
    attempts: list[BegunAttempt] = field(default_factory=list)


def read_stories(runs: RunQuerySet, *, hidden: bool, ancestors: RunQuerySet | None = None) -> list[Story]:
    """Return the story of each run.

    One query for each generation of the longest story.

    Args:
        runs: what the stories are about, cut to what the caller may see.
        hidden: also what a resume or restart from an earlier checkpoint undid.
        ancestors: runs that the caller may see; None for stories of one run each. A story begins after the first
            ancestor that is not among them.
    """
    newest = _read_generation(runs)
    known = newest if ancestors is None else newest | _read_ancestors(newest, ancestors)
    most = 1 if ancestors is None else MAX_GENERATIONS
    chains = [list(_chain(known, run_id, most)) for run_id in newest]
    return [_make_story(chain, hidden=hidden) for chain in chains]


_COLUMNS = (
    "pk",
    "uid",
    "started_at",
    "resumed_from__run_id",
    "resumed_from__step",
    "resumed_from__attempt__number",
    "telemetry__folds",
    "telemetry__metric_first_time",
    "telemetry__inbox_batches",
    "metrics_removed_at",
    "attempts__number",
    "attempts__started_at",
    "attempts__metric_sequence",
    "attempts__resume_from_id",
    "attempts__resume_from__step",
)


def _read_generation(runs: RunQuerySet) -> dict[int, _Generation]:
    rows = runs.order_by("pk", "-attempts__number").values_list(*_COLUMNS)
    found: dict[int, _Generation] = {}
    for row in rows:  # one for each attempt, and one for a run without any
        (run_id, uid, began, parent, step, made_by), counted = row[:6], row[6:10]
        if run_id not in found:
            counter = RunCounter() if counted[0] is None else RunCounter(*counted)
            found[run_id] = _Generation(run_id, uid, began, parent, step, made_by, counter)
        number, started_at, sequence, checkpoint, restored_step = row[10:]
        if started_at is not None or sequence:
            found[run_id].attempts.append(BegunAttempt(number, checkpoint is not None, restored_step))
    return found


def _read_ancestors(newest: dict[int, _Generation], ancestors: RunQuerySet) -> dict[int, _Generation]:
    known, last = dict(newest), newest
    for _ in range(MAX_GENERATIONS - 1):
        parents = {one.parent for one in last.values() if one.parent is not None} - known.keys()
        if not parents:
            break
        last = _read_generation(ancestors.filter(pk__in=parents))
        known.update(last)
    return known


def _chain(known: dict[int, _Generation], run_id: int, most: int) -> Iterator[_Generation]:
    """Yield the run and its ancestors, newest first, each once and at most `most` of them."""
    seen: set[int] = set()
    place: int | None = run_id
    while place in known and place not in seen and len(seen) < most:
        seen.add(place)
        yield known[place]
        place = known[place].parent


def _make_story(chain: list[_Generation], *, hidden: bool) -> Story:
    parts: list[Part] = []
    last_step, last_attempt = INT64_MAX, None
    for one in chain:
        timeline = Timeline() if hidden else make_timeline(one.attempts, last_step=last_step, last_attempt=last_attempt)
        parts.append(Part(one.run_id, one.uid, timeline, one.counter))
        last_step = timeline.before if one.step is None else min(timeline.before, one.step)
        last_attempt = one.attempt
    return Story(tuple(reversed(parts)), chain[-1].began)
