"""One series, second half: the points of its rows joined, ordered and thinned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from runs.telemetry.point_packing import Payload, unpack_points, unpack_selections
from runs.telemetry.points import Points, is_ascending
from runs.telemetry.series_plan import GENERATION, Blob, Level, Piece, SeriesPlan
from runs.telemetry.shelf import SectionRow
from runs.telemetry.thinning import SECTION_PARTS, SKETCH_PARTS, select, thin
from runs.telemetry.timeline import SYSTEM_PREFIX

Axis = Literal["step", "time", "relative"]
Blobs = dict[Blob, dict[int, Payload]]


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one metric as columns: step, time (ms since 1970 UTC), value (NaN and ±inf are gaps), attempt.

    In order of step, then run and attempt, then time; for `system/…`, whose steps start anew in every attempt, by
    run and attempt first. Over time: in order of time, then run and attempt, then step. `run` is the index of the
    point's run in its story, `relative` is ms since the story began (None unless asked for). `total` is the number
    of points in the window, `thinned` whether some of them were left out.
    """

    step: list[int]
    time: list[int]
    value: list[float]
    attempt: list[int]
    total: int
    thinned: bool
    run: list[int] = field(default_factory=list)
    relative: list[int] | None = None


@dataclass(slots=True)
class SeriesAssembly:
    """Joins the rows of a plan, in the order that they came, and thins their points."""

    plan: SeriesPlan
    blobs: Blobs
    axis: Axis
    steps: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    total: int = 0

    def assemble(self, began: int) -> Series:
        """Return the series; `began` is when the story did, ms since 1970 UTC."""
        pieces = sorted(self.plan.pieces, key=lambda piece: (piece.place, piece.order))
        for (place, is_section), group in groupby(pieces, lambda piece: (piece.place, piece.is_section)):
            if is_section:
                self._add_sections(place, list(group))
            else:
                self._add_rest(place, group)
        return self._thinned(began)

    def _add_sections(self, place: int, pieces: list[Piece]) -> None:
        rows = [piece.row for piece in pieces if isinstance(piece.row, SectionRow)]
        blob = self.plan.blob_of(pieces[0])
        self._add(
            place, unpack_selections([self.blobs[blob].get(row.id, b"") if blob else row.outline for row in rows])
        )
        self.total += sum(row.points for row in rows)

    def _add_rest(self, place: int, pieces: Iterable[Piece]) -> None:
        """Add chunks and points of the inbox; beside sections all of them together weigh as one does."""
        found = (self._selected(piece) for piece in pieces)
        if self.plan.level < Level.SECTION_SKETCHES:
            for points in found:
                self._add(place, points)
            return
        together = Points.joined(found).sorted()
        if len(together):
            outline, sketch = select(together, SECTION_PARTS)
            self._add(place, together.at(sketch if self.plan.level == Level.SECTION_SKETCHES else outline))

    def _selected(self, piece: Piece) -> Points:
        """Return the points of a chunk, or some of the inbox, that the level shows."""
        row, blob = piece.row, self.plan.blob_of(piece)
        if isinstance(row, Points):
            return self._select(row)
        if blob == "payload":
            payload = self.blobs[blob].get(row.id)
            if payload is None:  # joined into another meanwhile: the reading is repeated
                return Points([], [], [])
            points = unpack_points(payload)
            return self._select(points if piece.window is None else piece.window.of(points))
        self.total += row.points
        return unpack_selections([self.blobs[blob].get(row.id, b"") if blob else row.outline])

    def _select(self, points: Points) -> Points:
        """Select as is done for whole chunks, so that all weigh the same."""
        self.total += len(points)
        if self.plan.level == Level.POINTS or not len(points):
            return points
        outline, sketch = select(points, SKETCH_PARTS)
        return points.at(sketch if self.plan.level == Level.SKETCHES else outline)

    def _add(self, place: int, points: Points) -> None:
        self.steps += points.steps
        self.times += points.times
        self.values += points.values
        self.places += [place] * len(points)

    def _thinned(self, began: int) -> Series:
        order = self._order()
        values = self.values if isinstance(order, range) else [self.values[index] for index in order]
        kept = [order[index] for index in thin(values, self.plan.limit)]
        times = [self.times[index] for index in kept]
        places = [divmod(self.places[index], GENERATION) for index in kept]
        return Series(
            [self.steps[index] for index in kept],
            times,
            [self.values[index] for index in kept],
            [attempt for _, attempt in places],
            total=self.total,
            thinned=len(kept) < self.total,
            run=[generation for generation, _ in places],
            relative=[time - began for time in times] if self.axis == "relative" else None,
        )

    def _order(self) -> Sequence[int]:
        """Return the indexes of the points in the order of the chart."""
        along, across = (self.steps, self.times) if self.axis == "step" else (self.times, self.steps)
        first, second = along, self.places
        if self.axis == "step" and self.plan.key.startswith(SYSTEM_PREFIX):
            first, second = self.places, along
        if is_ascending(first):
            return range(len(first))
        keys = list(zip(first, second, across, strict=True))
        return sorted(range(len(keys)), key=keys.__getitem__)
