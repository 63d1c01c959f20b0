"""Reading metrics: series thinned to what a chart can show, of several metrics and runs at once.

`lineage` says which runs and attempts a series is made of, `shelf` what is stored of them, `series_plan` what of that
is read, `assembly` joins it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from runs.epoch import milliseconds
from runs.models import Run
from runs.telemetry.assembly import Axis, Blobs, Series, SeriesAssembly
from runs.telemetry.lineage import Story, read_stories
from runs.telemetry.newest import lock_counter
from runs.telemetry.series_plan import Blob, SeriesPlan
from runs.telemetry.shelf import (
    RunCounter,
    RunShelf,
    SectionRow,
    fill_shelves,
    open_shelves,
    read_chunks_of,
    read_counters,
    read_of_chunks,
    read_of_sections,
)
from runs.telemetry.thinning import MIN_LIMIT
from runs.telemetry.window import EVERYTHING, Window

__all__ = ["Axis", "Metrics", "Series", "SeriesRequest", "read_metrics", "read_series"]

_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRequest:
    """What is wanted of each story.

    `keys` are names of metrics, None for the first `most_keys` of each story. `limit` is at least 5: the first,
    last, least and greatest point of a series are always kept, gaps as far as they fit. `axis` is what the points
    are ordered by. The window is cut by `window` and by ms since the story began, `first_relative` to
    `last_relative`, both included, None for open.
    """

    keys: Sequence[str] | None
    most_keys: int = 100
    limit: int = 1000
    axis: Axis = "step"
    window: Window = EVERYTHING
    first_relative: int | None = None
    last_relative: int | None = None

    @property
    def is_relative(self) -> bool:
        """Whether it matters when a story began."""
        return self.axis == "relative" or self.first_relative is not None or self.last_relative is not None


@dataclass(frozen=True, slots=True)
class Metrics:
    """The series of a story by metric, in the order asked for, and the names of all its metrics, sorted.

    `removed_at` is when the history of its run was removed, None while it is there.
    """

    story: Story
    series: dict[str, Series]
    keys: list[str]
    removed_at: datetime | None


def read_metrics(stories: Sequence[Story], request: SeriesRequest) -> list[Metrics]:
    """Return the wanted series of each story, in their order; metrics that a story does not have are left out.

    At most 10 queries, whatever the number of stories and metrics, as long as there are at most 500 metrics and
    chunks of each kind to read; again for stories that are folded meanwhile.

    Raises:
        ValueError: limit below 5.
    """
    if request.limit < MIN_LIMIT:
        raise ValueError(f"limit is at least {MIN_LIMIT}")
    done: dict[int, Metrics] = {}
    counters = {part.run_id: part.counter for story in stories for part in story.parts}
    for _ in range(_TRIES):
        left = [story for story in stories if id(story) not in done]
        if not left:
            break
        found, before = _read_once(left, request, counters), counters
        counters = read_counters(list(counters))
        for story, metrics in zip(left, found, strict=True):
            # Else points may have moved past the reader.
            if all(counters[part.run_id].folds == before[part.run_id].folds for part in story.parts):
                done[id(story)] = metrics
    left = [story for story in stories if id(story) not in done]
    done.update((id(one.story), one) for one in _read_locked(left, request))
    return [done[id(story)] for story in stories]


def read_series(
    *,
    run_id: int,
    keys: Sequence[str],
    limit: int = 1000,
    axis: Axis = "step",
    first_step: int | None = None,
    last_step: int | None = None,
    first_time: int | None = None,
    last_time: int | None = None,
    hidden: bool = False,
) -> dict[str, Series]:
    """Return the points of some metrics of one run in a window, at most `limit` of each; both ends are included.

    Returns:
        A series for each of `keys`, empty where there is nothing.

    Raises:
        ValueError: limit below 5.
    """
    window = Window.between(first_step, last_step, first_time, last_time)
    request = SeriesRequest(keys=keys, limit=limit, axis=axis, window=window)
    found: dict[str, Series] = {}
    for metrics in read_metrics(read_stories(Run.objects.filter(pk=run_id), hidden=hidden), request):
        found = metrics.series
    return {key: found.get(key) or Series([], [], [], [], total=0, thinned=False) for key in keys}


def _read_locked(stories: Sequence[Story], request: SeriesRequest) -> list[Metrics]:
    """Read while folding waits."""
    if not stories:
        return []
    run_ids = sorted({part.run_id for story in stories for part in story.parts})
    with transaction.atomic():
        for run_id in run_ids:
            lock_counter(run_id)
        return _read_once(stories, request, read_counters(run_ids))


def _read_once(stories: Sequence[Story], request: SeriesRequest, counters: Mapping[int, RunCounter]) -> list[Metrics]:
    """Return the metrics of each story; `counters` were read before."""
    wanted = {part.run_id for story in stories for part in story.parts}
    shelves = open_shelves({run_id: counters[run_id] for run_id in wanted})
    drafts = [_draft(story, request, shelves, counters[story.run_id]) for story in stories]
    plans = [plan for draft in drafts for plan in draft.plans.values()]
    if plans:
        keys = sorted({plan.key for plan in plans})
        there = {run_id: shelf for run_id, shelf in shelves.items() if not counters[run_id].removed_at}
        fill_shelves(there, keys, Window.around(plan.window for plan in plans))
    blobs = _read_blobs(plans, shelves)
    return [draft.finish(blobs) for draft in drafts]


@dataclass(frozen=True, slots=True)
class _Draft:
    """The metrics of one story while they are read; it began `began` ms after 1970 UTC."""

    story: Story
    axis: Axis
    keys: list[str]
    began: int
    plans: dict[str, SeriesPlan]
    removed_at: datetime | None

    def finish(self, blobs: Blobs) -> Metrics:
        """Return the series."""
        series = {key: SeriesAssembly(plan, blobs, self.axis).assemble(self.began) for key, plan in self.plans.items()}
        return Metrics(self.story, series, self.keys, self.removed_at)


def _draft(story: Story, request: SeriesRequest, shelves: dict[int, RunShelf], counter: RunCounter) -> _Draft:
    own = [shelves[part.run_id] for part in story.parts]
    known = {key for shelf in own for key in shelf.keys}
    wanted = sorted(known)[: request.most_keys] if request.keys is None else dict.fromkeys(request.keys)
    began = _began(story, own) if request.is_relative else 0
    window = request.window.after(began, request.first_relative, request.last_relative)
    plans = {key: SeriesPlan(story, key, window, request.limit) for key in wanted if key in known}
    return _Draft(story, request.axis, sorted(known), began, plans, counter.removed_at)


def _began(story: Story, shelves: Iterable[RunShelf]) -> int:
    """Return when the oldest run began to train, else the earliest time of a point, ms since 1970 UTC."""
    if story.began is not None:
        return milliseconds(story.began)
    times = [shelf.earliest_time() for shelf in shelves]
    return min((time for time in times if time is not None), default=0)


def _read_blobs(plans: Sequence[SeriesPlan], shelves: dict[int, RunShelf]) -> Blobs:
    """Let each plan decide what it needs, and read all of that together."""
    for plan in plans:
        plan.gather(shelves)
    _cut_open(plans)
    for plan in plans:
        plan.choose_level()
    _cut_open(plans)
    return {
        "payload": read_of_chunks("payload", _ids(plans, "payload")),
        "sketch": read_of_chunks("sketch", _ids(plans, "sketch")),
        "section outlines": read_of_sections("outlines", _ids(plans, "section outlines")),
        "section sketch": read_of_sections("sketch", _ids(plans, "section sketch")),
    }


def _cut_open(plans: Iterable[SeriesPlan]) -> None:
    chunks = read_chunks_of([piece.row for plan in plans for piece in plan.cut if isinstance(piece.row, SectionRow)])
    for plan in plans:
        plan.cut_open(chunks)


def _ids(plans: Iterable[SeriesPlan], blob: Blob) -> list[int]:
    return list({row_id for plan in plans for row_id in plan.ids(blob)})
