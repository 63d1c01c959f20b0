"""One series, first half: which rows hold it, and how much of them shows enough.

Every chunk carries two selections of its points, every section three (`runs.models.MetricChunk`, `MetricSection`). A
window with few points is read from the chunks' payloads, a wide one from the coarsest selections that still hold the
points asked for; only chunks across its ends are unpacked then. Either way all points shown are real ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from runs.telemetry.chunks import CHUNK_POINTS
from runs.telemetry.lineage import Part, Story
from runs.telemetry.point_packing import POINT_BYTES
from runs.telemetry.points import INT64_MAX, Points
from runs.telemetry.shelf import ChunkRow, RunShelf, SectionRow
from runs.telemetry.thinning import SECTION_PARTS
from runs.telemetry.window import EVERYTHING, Window

# Unpacked are at most so many points for one shown: 30,000 take about 8 ms. Of as many, sketches hold 500.
_UNPACKED_PER_POINT = 30
GENERATION = 1 << 32  # the place of a point's attempt among all of a story: generation first, then number
_LATEST = INT64_MAX  # what is loose came after all sections

Blob = Literal["", "payload", "sketch", "section outlines", "section sketch"]


class Level(IntEnum):
    """What is read of a series, coarsest last."""

    POINTS = 0
    SKETCHES = 1
    OUTLINES = 2
    SECTION_SKETCHES = 3
    SECTION_OUTLINES = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """A row, or some points of the inbox, in the order that they came: all of it, or what is in the window."""

    place: int
    order: tuple[int, int]
    row: SectionRow | ChunkRow | Points
    window: Window | None = None

    @property
    def is_section(self) -> bool:
        """Whether it is a whole section."""
        return isinstance(self.row, SectionRow)


_OF_SECTIONS: dict[Level, Blob] = {Level.OUTLINES: "section outlines", Level.SECTION_SKETCHES: "section sketch"}


@dataclass(slots=True)
class SeriesPlan:
    """What to read for one metric of one story."""

    story: Story
    key: str
    window: Window
    limit: int
    pieces: list[Piece] = field(default_factory=list)
    cut: list[Piece] = field(default_factory=list)
    level: Level = Level.POINTS

    def gather(self, shelves: dict[int, RunShelf]) -> None:
        """Take the rows that have points in the window; sections across its ends are put aside."""
        for generation, part in enumerate(self.story.parts):
            shelf, base = shelves[part.run_id], generation * GENERATION
            for section in shelf.sections.get(self.key, ()):
                self._take(section, base, (section.id, 0), self._window_of(part, section.attempt))
            for chunk in shelf.chunks.get(self.key, ()):
                self._take(chunk, base, (_LATEST, chunk.id), self._window_of(part, chunk.attempt))
            by_attempt: dict[int, list[Points]] = {}
            for attempt, points in shelf.points.get(self.key, ()):
                by_attempt.setdefault(attempt, []).append(self._window_of(part, attempt).of(points))
            for attempt, found in by_attempt.items():
                parts = Points.joined(found).sorted_parts(CHUNK_POINTS)
                self.pieces += [Piece(base + attempt, (_LATEST, _LATEST), points) for points in parts]

    def cut_open(self, chunks: dict[int, list[ChunkRow]]) -> None:
        """Take the chunks of the sections that were put aside; `chunks` by the section's id."""
        for piece in self.cut:
            assert isinstance(piece.row, SectionRow)
            for chunk in chunks.get(piece.row.id, ()):
                base = piece.place - chunk.attempt
                self._take(chunk, base, (piece.row.id, chunk.id), piece.window or EVERYTHING)
        self.cut = []

    def choose_level(self) -> None:
        """Decide what to read; sections are put aside when their chunks are wanted."""
        self.level = self._coarsest_level()
        if self.level <= Level.SKETCHES:
            self.cut = [piece for piece in self.pieces if piece.is_section]
            self.pieces = [piece for piece in self.pieces if not piece.is_section]

    def _coarsest_level(self) -> Level:
        rows = [piece.row for piece in self.pieces]
        sections = [row for row in rows if isinstance(row, SectionRow)]
        loose = [row for row in rows if isinstance(row, ChunkRow)]
        in_sections, in_chunks = (sum(row.points for row in some) for some in (sections, loose))
        inbox = sum(len(row) for row in rows if isinstance(row, Points))
        if in_sections + in_chunks + inbox <= self.limit * _UNPACKED_PER_POINT:
            return Level.POINTS
        if _outlined(sections) >= self.limit:
            return Level.SECTION_OUTLINES
        if sections and (len(sections) + 1) * 2 * SECTION_PARTS >= self.limit:  # the rest weighs as one
            return Level.SECTION_SKETCHES
        outlined = in_sections // CHUNK_POINTS * 4 + _outlined(loose)  # an outline has about 4 points
        return Level.OUTLINES if outlined >= self.limit else Level.SKETCHES

    def _window_of(self, part: Part, attempt: int) -> Window:
        return self.window.narrowed(part.timeline.last_step(self.key, attempt))

    def _take(self, row: SectionRow | ChunkRow, base: int, order: tuple[int, int], window: Window) -> None:
        if window.has_all(row.steps, row.times):
            self.pieces.append(Piece(base + row.attempt, order, row))
        elif not window.has_none(row.steps, row.times):
            piece = Piece(base + row.attempt, order, row, window)
            (self.cut if piece.is_section else self.pieces).append(piece)

    def ids(self, blob: Blob) -> Iterator[int]:
        """Yield the ids of the rows of which that blob is wanted."""
        for piece in self.pieces:
            if not isinstance(piece.row, Points) and self.blob_of(piece) == blob:
                yield piece.row.id

    def blob_of(self, piece: Piece) -> Blob:
        """Return what is wanted of a row beside what is read of every one."""
        if piece.is_section:
            return _OF_SECTIONS.get(self.level, "")
        if self.level == Level.POINTS or piece.window is not None:
            return "payload"
        return "sketch" if self.level == Level.SKETCHES else ""


def _outlined(rows: Sequence[ChunkRow | SectionRow]) -> int:
    """Return how many points the outlines have."""
    return sum(len(row.outline) for row in rows) // POINT_BYTES
