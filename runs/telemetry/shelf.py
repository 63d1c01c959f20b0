"""What is stored of some metrics of some runs, read in a bounded number of queries."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self

from django.db.models import QuerySet, Value

from runs.models import MetricBatch, MetricChunk, MetricSection, RunMetric, TelemetryCounter
from runs.telemetry.newest import in_slices
from runs.telemetry.packing import batch_first_time, batch_keys, unpack_batch
from runs.telemetry.point_packing import POINT_BYTES, Payload, unpack_heads
from runs.telemetry.points import Points
from runs.telemetry.repeats import Part, SeriesKey, without_repeats
from runs.telemetry.window import Span, Window


@dataclass(frozen=True, slots=True)
class _Row:
    """Where points lie, and up to 7 of them: the outline."""

    id: int
    attempt: int
    points: int
    steps: Span
    times: Span
    outline: Payload

    @classmethod
    def of(
        cls,
        row_id: int,
        attempt: int,
        points: int,
        first_step: int,
        last_step: int,
        first_time: int,
        last_time: int,
        outline: Payload,
    ) -> Self:
        """Make one from the columns of the database."""
        return cls(row_id, attempt, points, (first_step, last_step), (first_time, last_time), outline)


class ChunkRow(_Row):
    """A chunk without its points."""

    __slots__ = ()


class SectionRow(_Row):
    """A section without its chunks."""

    __slots__ = ()


class InboxRow(NamedTuple):
    """A batch that is not folded yet."""

    attempt: int
    payload: Payload
    may_repeat: bool = False


class RunCounter(NamedTuple):
    """How often a run's chunks have changed, the least time of those, how many batches are in the inbox.

    With `removed_at` nothing is there to read, whatever rows still wait to be deleted.
    """

    folds: int = 0
    first_time: int | None = None
    inbox_batches: int = 0
    removed_at: datetime | None = None


@dataclass(slots=True)
class RunShelf:
    """What one run holds: its inbox, and by metric its loose chunks and sections."""

    first_time: int | None = None
    inbox: list[InboxRow] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    points: dict[str, list[tuple[int, Points]]] = field(default_factory=dict)
    chunks: dict[str, list[ChunkRow]] = field(default_factory=dict)
    sections: dict[str, list[SectionRow]] = field(default_factory=dict)

    def earliest_time(self) -> int | None:
        """Return the least time of all points, ms since 1970 UTC; None without points."""
        times = [batch_first_time(row.payload) for row in self.inbox]
        return min(times if self.first_time is None else [*times, self.first_time], default=None)


def read_counters(run_ids: Collection[int]) -> dict[int, RunCounter]:
    """Return the counter of each run; one query."""
    rows = TelemetryCounter.objects.filter(run_id__in=run_ids)
    found = dict.fromkeys(run_ids, RunCounter())
    columns = ("folds", "metric_first_time", "inbox_batches", "run__metrics_removed_at")
    for run_id, *counted in rows.values_list("run_id", *columns):
        found[run_id] = RunCounter(*counted)
    return found


def open_shelves(counters: Mapping[int, RunCounter]) -> dict[int, RunShelf]:
    """Return for each run its inbox and the names of its metrics; two queries, one with all inboxes empty.

    `counters` were read before. In this order a batch that is folded meanwhile is seen at least once, or the number
    of folds tells.
    """
    shelves = {run_id: RunShelf(counter.first_time) for run_id, counter in counters.items()}
    waiting = [run_id for run_id, counter in counters.items() if counter.inbox_batches and not counter.removed_at]
    if waiting:
        inbox = MetricBatch.objects.filter(run_id__in=waiting).order_by("id")
        columns = ("run_id", "attempt_number", "payload", "may_repeat")
        for run_id, attempt, payload, may_repeat in inbox.values_list(*columns):
            shelves[run_id].inbox.append(InboxRow(attempt, payload, may_repeat))
            shelves[run_id].keys.update(batch_keys(payload))
    for run_id, key in RunMetric.objects.filter(run_id__in=list(shelves)).values_list("run_id", "key"):
        shelves[run_id].keys.add(key)
    return shelves


def fill_shelves(shelves: dict[int, RunShelf], keys: Sequence[str], window: Window) -> None:
    """Read the loose chunks of `keys`, sections that may have points in the window, and the points of the inboxes.

    A query for every 500 metrics.
    """
    for shelf in shelves.values():
        shelf.points = _inbox_points(shelf.inbox, keys)
    for some in in_slices(keys):
        loose = MetricChunk.objects.filter(run_id__in=list(shelves), key__in=some, is_loose=True)
        sections = MetricSection.objects.filter(run_id__in=list(shelves), key__in=some)
        # Of loose ones there are few; asked for a window of time, SQLite would leave their index for another.
        rows = _columns(loose, is_section=False).union(_columns(window.rows(sections), is_section=True), all=True)
        # By id: points of equal place keep the order they came in. Sorted here, so that no database is tempted to go
        # through all of a table in its order.
        for run_id, key, is_section, row_id, *rest in sorted(rows, key=operator.itemgetter(3)):
            shelf = shelves[run_id]
            found: dict[str, list[Any]] = shelf.sections if is_section else shelf.chunks
            found.setdefault(key, []).append((SectionRow if is_section else ChunkRow).of(row_id, *rest))


def _inbox_points(inbox: Iterable[InboxRow], keys: Collection[str]) -> dict[str, list[tuple[int, Points]]]:
    """Return attempt and points by metric, those that a client repeated within the inbox once."""
    parts: dict[SeriesKey, list[Part]] = {}
    wanted = frozenset(keys)
    for row in inbox:
        for key, points in unpack_batch(row.payload, wanted):
            parts.setdefault((key, row.attempt), []).append((points, row.may_repeat))
    found: dict[str, list[tuple[int, Points]]] = {}
    for (key, attempt), some in parts.items():
        found.setdefault(key, []).extend((attempt, points) for points in without_repeats(some) if len(points))
    return found


def _columns(rows: QuerySet[Any], *, is_section: bool) -> Any:
    return rows.annotate(is_section=Value(is_section)).values_list(
        "run_id",
        "key",
        "is_section",
        "id",
        "attempt_number",
        "points",
        "first_step",
        "last_step",
        "first_time",
        "last_time",
        "outline",
    )


def read_chunks_of(sections: Sequence[SectionRow]) -> dict[int, list[ChunkRow]]:
    """Return the chunks of each section by its id; one query for every 500 sections."""
    attempts = {section.id: section.attempt for section in sections}
    found: dict[int, list[ChunkRow]] = {}
    for some in in_slices(list(attempts)):
        rows = MetricSection.objects.filter(id__in=some).values_list("id", "chunks", "outlines")
        for section, heads, outlines in rows:
            found[section] = list(_chunk_rows(attempts[section], heads, memoryview(outlines)))
    return found


def _chunk_rows(attempt: int, heads: Payload, outlines: memoryview) -> Iterator[ChunkRow]:
    start = 0
    for head in unpack_heads(heads):
        stop = start + head.outlined * POINT_BYTES
        steps, times = (head.first_step, head.last_step), (head.first_time, head.last_time)
        yield ChunkRow(head.id, attempt, head.points, steps, times, outlines[start:stop])
        start = stop


def read_of_chunks(column: Literal["payload", "sketch"], ids: Sequence[int]) -> dict[int, Payload]:
    """Return a column of some chunks by id; one query for every 500."""
    rows: dict[int, Payload] = {}
    for some in in_slices(ids):
        rows.update(MetricChunk.objects.filter(id__in=some).values_list("id", column))
    return rows


def read_of_sections(column: Literal["sketch", "outlines"], ids: Sequence[int]) -> dict[int, Payload]:
    """Return a column of some sections by id; one query for every 500."""
    rows: dict[int, Payload] = {}
    for some in in_slices(ids):
        rows.update(MetricSection.objects.filter(id__in=some).values_list("id", column))
    return rows
