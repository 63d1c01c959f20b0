"""What is stored of some metrics of some runs, read in a bounded number of queries."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from django.db.models import QuerySet

from runs.models import MetricBatch, MetricChunk, MetricSection, RunMetric, TelemetryCounter
from runs.telemetry.newest import in_slices
from runs.telemetry.packing import batch_first_time, batch_keys, unpack_batch
from runs.telemetry.point_packing import POINT_BYTES, Payload, unpack_heads
from runs.telemetry.points import Points
from runs.telemetry.window import Span, Window


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A chunk without its points; `outline` holds up to 7 of them."""

    id: int
    attempt: int
    points: int
    steps: Span
    times: Span
    outline: Payload


@dataclass(frozen=True, slots=True)
class SectionRow:
    """A section without its chunks."""

    id: int
    attempt: int
    points: int
    steps: Span
    times: Span
    outline: Payload


class InboxRow(NamedTuple):
    """A batch that is not folded yet."""

    attempt: int
    payload: Payload


@dataclass(slots=True)
class RunShelf:
    """What one run holds: how often it was folded, its inbox, and by metric its loose chunks and sections."""

    folds: int = 0
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


def read_counters(run_ids: Collection[int]) -> dict[int, int]:
    """Return how often each run was folded; it grows whenever chunks change."""
    return dict(TelemetryCounter.objects.filter(run_id__in=run_ids).values_list("run_id", "folds"))


def open_shelves(run_ids: Collection[int]) -> dict[int, RunShelf]:
    """Return for each run its counter, inbox and names of metrics; three queries, two with all inboxes empty.

    In this order a batch that is folded meanwhile is seen at least once, or the number of folds tells.
    """
    shelves = {run_id: RunShelf() for run_id in run_ids}
    waiting = []
    counters = TelemetryCounter.objects.filter(run_id__in=run_ids)
    for run_id, folds, first_time, batches in counters.values_list(
        "run_id", "folds", "metric_first_time", "inbox_batches"
    ):
        shelves[run_id].folds, shelves[run_id].first_time = folds, first_time
        waiting += [run_id] if batches else []
    if waiting:
        inbox = MetricBatch.objects.filter(run_id__in=waiting).order_by("id")
        for run_id, attempt, payload in inbox.values_list("run_id", "attempt_number", "payload"):
            shelves[run_id].inbox.append(InboxRow(attempt, payload))
            shelves[run_id].keys.update(batch_keys(payload))
    for run_id, key in RunMetric.objects.filter(run_id__in=run_ids).values_list("run_id", "key"):
        shelves[run_id].keys.add(key)
    return shelves


def fill_shelves(shelves: dict[int, RunShelf], keys: Sequence[str], window: Window) -> None:
    """Read loose chunks and sections that may have points of `keys` in the window, and those of the inboxes.

    Two queries for every 500 metrics.
    """
    for shelf in shelves.values():
        shelf.points = _inbox_points(shelf.inbox, keys)
    for some in in_slices(keys):
        loose = MetricChunk.objects.filter(run_id__in=shelves, key__in=some, is_loose=True)
        for run_id, key, row in _rows(window.rows(loose)):
            shelves[run_id].chunks.setdefault(key, []).append(ChunkRow(*row))
        sections = MetricSection.objects.filter(run_id__in=shelves, key__in=some)
        for run_id, key, row in _rows(window.rows(sections)):
            shelves[run_id].sections.setdefault(key, []).append(SectionRow(*row))


def _inbox_points(inbox: Iterable[InboxRow], keys: Collection[str]) -> dict[str, list[tuple[int, Points]]]:
    found: dict[str, list[tuple[int, Points]]] = {}
    wanted = frozenset(keys)
    for attempt, payload in inbox:
        for key, points in unpack_batch(payload, wanted):
            found.setdefault(key, []).append((attempt, points))
    return found


def _rows(rows: QuerySet[Any]) -> Iterator[tuple[int, str, tuple[int, int, int, Span, Span, Payload]]]:
    """Yield run, metric and the columns of the row, by id: points of equal place keep the order they came in."""
    columns = rows.values_list(
        "run_id",
        "key",
        "id",
        "attempt_number",
        "points",
        "first_step",
        "last_step",
        "first_time",
        "last_time",
        "outline",
    )
    # Sorted here, so that no database is tempted to go through all of a table in its order.
    for run_id, key, row_id, attempt, points, first_step, last_step, first_time, last_time, outline in sorted(
        columns, key=operator.itemgetter(2)
    ):
        yield run_id, key, (row_id, attempt, points, (first_step, last_step), (first_time, last_time), outline)


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
