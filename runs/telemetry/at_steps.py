"""Values of metrics at the steps of checkpoints: the newest one at or just before each.

Only what the attempt had trained on when it wrote the checkpoint counts: not what came after it, nor what a restart
from an earlier checkpoint had undone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runs.models import Run
from runs.telemetry.assembly import SeriesAssembly
from runs.telemetry.lineage import Part, Story
from runs.telemetry.series_plan import Level, SeriesPlan
from runs.telemetry.shelf import (
    RunCounter,
    RunShelf,
    SectionRow,
    fill_shelves,
    open_shelves,
    read_chunks_of,
    read_of_chunks,
)
from runs.telemetry.thinning import MIN_LIMIT
from runs.telemetry.timeline import BegunAttempt, make_timeline
from runs.telemetry.window import Window

NEAR_SHARE, NEAR_LEAST, NEAR_MOST = 0.1, 10, 1000  # steps: how far before its checkpoint a value may be


@dataclass(frozen=True, slots=True)
class Mark:
    """A step, and the number of the attempt that reached it; None when it is not known."""

    step: int
    attempt: int | None = None

    @property
    def window(self) -> Window:
        """The steps of which a value counts: a tenth of the way back, at least 10 and at most 1,000 steps."""
        near = min(max(NEAR_LEAST, int(abs(self.step) * NEAR_SHARE)), NEAR_MOST)
        return Window.between(self.step - near, self.step, None, None)


@dataclass(frozen=True, slots=True)
class ValueAt:
    """The value of a metric, which may be NaN or infinite, and its step: `step` of the mark or one before."""

    step: int
    value: float


Choice = Callable[[Collection[str]], Sequence[str]]


def read_values_at(*, run_id: int, marks: Sequence[Mark], choose: Choice) -> tuple[list[str], list[dict[str, ValueAt]]]:
    """Return the names of the metrics read, and by name the values at each mark of one run, in the order of `marks`.

    As `read_values_of_runs` does.
    """
    names, found = read_values_of_runs(marks={run_id: marks}, choose=choose)
    return names, found[run_id]


def read_values_of_runs(
    *, marks: Mapping[int, Sequence[Mark]], choose: Choice
) -> tuple[list[str], dict[int, list[dict[str, ValueAt]]]]:
    """Return the names of the metrics read, and for each run by name the values at each of its marks, in their order.

    At most 6 queries, whatever the number of runs and marks; only chunks across the ends of their windows are
    unpacked. A value that is folded at this very moment may be missing. Nothing is found of a run whose history was
    removed. `choose` is given the names of all metrics of the runs and returns those to read.
    """
    begun = _read_begun([run_id for run_id, some in marks.items() if some])
    counters = {run_id: counter for run_id, (counter, _) in begun.items() if counter.removed_at is None}
    found: dict[int, list[dict[str, ValueAt]]] = {run_id: [{} for _ in some] for run_id, some in marks.items()}
    if not counters:
        return [], found
    shelves = open_shelves(counters)
    keys = list(choose(set().union(*(shelf.keys for shelf in shelves.values()))))
    plans: dict[_Place, SeriesPlan] = {
        (run_id, place, key): SeriesPlan(
            _story_at(run_id, mark, begun[run_id][1], counter), key, mark.window, MIN_LIMIT
        )
        for run_id, counter in counters.items()
        for place, mark in enumerate(marks[run_id])
        for key in keys
        if key in shelves[run_id].keys
    }
    if plans:
        fill_shelves(shelves, keys, Window.around(mark.window for run_id in counters for mark in marks[run_id]))
    for (run_id, place, key), value in _last_values(plans, shelves):
        found[run_id][place][key] = value
    return keys, found


_Place = tuple[int, int, str]  # a run, the index of one of its marks, a metric


def _read_begun(run_ids: Sequence[int]) -> dict[int, tuple[RunCounter, list[BegunAttempt]]]:
    """Return what is counted of each run, and its attempts that have begun, newest first. One query."""
    columns = (
        "pk",
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
    found: dict[int, tuple[RunCounter, list[BegunAttempt]]] = {}
    rows = Run.objects.filter(pk__in=run_ids).order_by("pk", "-attempts__number") if run_ids else Run.objects.none()
    for run_id, *row in rows.values_list(*columns):
        number, started_at, sequence, checkpoint, step = row[4:]
        counter = RunCounter() if row[0] is None else RunCounter(*row[:4])
        _, attempts = found.setdefault(run_id, (counter, []))
        if started_at is not None or sequence:
            attempts.append(BegunAttempt(number, checkpoint is not None, step))
    return found


def _story_at(run_id: int, mark: Mark, attempts: Sequence[BegunAttempt], counter: RunCounter) -> Story:
    """Return the run as it stood when the attempt reached the step."""
    timeline = make_timeline(attempts, last_step=mark.step, last_attempt=mark.attempt)
    return Story((Part(run_id, "", timeline, counter),), None)


def _last_values(plans: Mapping[_Place, SeriesPlan], shelves: dict[int, RunShelf]) -> Iterator[tuple[_Place, ValueAt]]:
    for plan in plans.values():
        plan.gather(shelves)
    sections = [piece.row for plan in plans.values() for piece in plan.cut]
    chunks = read_chunks_of([row for row in sections if isinstance(row, SectionRow)])
    for plan in plans.values():
        plan.cut_open(chunks)
        # Of rows that lie inside as a whole the outline tells the last point; others are unpacked on any level.
        plan.level = Level.SECTION_OUTLINES
    ids = {row_id for plan in plans.values() for row_id in plan.ids("payload")}
    payloads = read_of_chunks("payload", list(ids))
    for place, plan in plans.items():
        series = SeriesAssembly(plan, {"payload": payloads}, "step").assemble(0)
        if series.step:
            yield place, ValueAt(series.step[-1], series.value[-1])
