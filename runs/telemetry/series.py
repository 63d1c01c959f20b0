"""Reading metrics: series thinned to what a chart can show, of several metrics and runs at once.

`lineage` says which runs and attempts a series is made of, `shelf` what is stored of them, `series_plan` what of that
is read, `assembly` joins it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction

from runs.models import Run
from runs.telemetry.assembly import Axis, Blobs, Series, SeriesAssembly
from runs.telemetry.lineage import Story, read_stories
from runs.telemetry.newest import lock_counter
from runs.telemetry.series_plan import SeriesPlan
from runs.telemetry.shelf import (
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
from runs.telemetry.window import Window

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
    window: Window = Window()
    first_relative: int | None = None
    last_relative: int | None = None

    @property
    def is_relative(self) -> bool:
        """Whether it matters when a story began."""
        return self.axis == "relative" or self.first_relative is not None or self.last_relative is not None


@dataclass(frozen=True, slots=True)
class Metrics:
    """The series of a story by metric, in the order asked for, and the names of all its metrics, sorted."""

    story: Story
    series: dict[str, Series]
    keys: list[str]


def read_metrics(stories: Sequence[Story], request: SeriesRequest) -> list[Metrics]:
    """Return the wanted series of each story, in their order; metrics that a story does not have are left out.

    At most 12 queries, whatever the number of stories and metrics, as long as there are at most 500 metrics and
    chunks of each kind to read; again for stories that are folded meanwhile.

    Raises:
        ValueError: limit below 5.
    """
    if request.limit < MIN_LIMIT:
        raise ValueError(f"limit is at least {MIN_LIMIT}")
    done: dict[int, Metrics] = {}
    for _ in range(_TRIES):
        left = [story for story in stories if id(story) not in done]
        if not left:
            break
        shelves, found = _Reading(request).read(left)
        folds = read_counters(list(shelves))
        for story, metrics in zip(left, found, strict=True):
            # Else points may have moved past the reader.
            if all(folds.get(part.run_id, 0) == shelves[part.run_id].folds for part in story.parts):
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
    with transaction.atomic():
        for run_id in sorted({part.run_id for story in stories for part in story.parts}):
            lock_counter(run_id)
        return _Reading(request).read(stories)[1]


@dataclass(frozen=True, slots=True)
class _Reading:
    """One pass over the tables."""

    request: SeriesRequest

    def read(self, stories: Sequence[Story]) -> tuple[dict[int, RunShelf], list[Metrics]]:
        """Return what was read of the runs, and the series of each story."""
        shelves = open_shelves({part.run_id for story in stories for part in story.parts})
        keys = [self._all_keys(story, shelves) for story in stories]
        wanted = [self._wanted(known) for known in keys]
        began = [self._began(story, shelves) for story in stories]
        windows = [self._window(moment) for moment in began]
        if any(wanted):
            names = sorted({key for some in wanted for key in some})
            fill_shelves(shelves, names, Window.around(windows))
        plans = [
            {key: SeriesPlan(story, key, window, self.request.limit) for key in some}
            for story, some, window in zip(stories, wanted, windows, strict=True)
        ]
        blobs = _read_blobs([plan for some in plans for plan in some.values()], shelves)
        return shelves, [
            Metrics(
                story,
                {key: SeriesAssembly(plan, blobs, self.request.axis).assemble(start) for key, plan in some.items()},
                known,
            )
            for story, some, known, start in zip(stories, plans, keys, began, strict=True)
        ]

    def _all_keys(self, story: Story, shelves: dict[int, RunShelf]) -> list[str]:
        return sorted({key for part in story.parts for key in shelves[part.run_id].keys})

    def _wanted(self, known: list[str]) -> list[str]:
        if self.request.keys is None:
            return known[: self.request.most_keys]
        return [key for key in dict.fromkeys(self.request.keys) if key in set(known)]

    def _began(self, story: Story, shelves: dict[int, RunShelf]) -> int:
        """Return when the oldest run began to train, else the earliest time of a point, ms since 1970 UTC."""
        if story.began is not None:
            return int(story.began.timestamp() * 1000)
        if not self.request.is_relative:
            return 0
        times = [shelves[part.run_id].earliest_time() for part in story.parts]
        return min((time for time in times if time is not None), default=0)

    def _window(self, began: int) -> Window:
        if not self.request.is_relative:
            return self.request.window
        return self.request.window.after(began, self.request.first_relative, self.request.last_relative)


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


def _ids(plans: Iterable[SeriesPlan], blob: str) -> list[int]:
    return list({row_id for plan in plans for row_id in plan.ids(blob)})
