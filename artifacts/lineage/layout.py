"""Places for the nodes of a tree, layered from left to right: pure geometry, no database."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 200, 46  # of a node, units of the viewBox
COLUMN, ROW = 226, 58  # from one node to the next
MARGIN = 8
TEXT_WIDTH = 22  # of a title, in characters of a narrow script


@dataclass(frozen=True, slots=True)
class Place:
    """The upper left corner of a node."""

    x: int
    y: int

    @property
    def middle(self) -> int:
        """The y of the line that enters and leaves the node."""
        return self.y + HEIGHT // 2


@dataclass(frozen=True, slots=True)
class Layout:
    """A place for each node; for each but the first the line from its parent, as the data of an SVG path."""

    places: list[Place]
    lines: list[str]
    width: int
    height: int


def lay_out(parents: Sequence[int | None]) -> Layout:
    """Place the nodes of trees: a column for each generation, the first child beside its parent, others below.

    So the way from the root to the first leaf is a straight line, and no two nodes share a place.

    Args:
        parents: for each node the index of its parent, which comes before it; None for a root.

    Raises:
        ValueError: a parent does not come before its child.
    """
    children: list[list[int]] = [[] for _ in parents]
    depths: list[int] = []
    for node, parent in enumerate(parents):
        if parent is not None:
            if not 0 <= parent < node:
                raise ValueError("a parent comes before its children")
            children[parent].append(node)
        depths.append(0 if parent is None else depths[parent] + 1)
    rows = _rows(parents, children)
    places = [Place(MARGIN + depth * COLUMN, MARGIN + row * ROW) for depth, row in zip(depths, rows, strict=True)]
    lines = [_line(places[parent], places[node]) for node, parent in enumerate(parents) if parent is not None]
    width = 2 * MARGIN + max(depths, default=0) * COLUMN + WIDTH
    return Layout(places, lines, width, 2 * MARGIN + max(rows, default=0) * ROW + HEIGHT)


def _rows(parents: Sequence[int | None], children: Sequence[Sequence[int]]) -> list[int]:
    """Return a row for each node: every leaf gets the next one, a parent that of its first child."""
    rows = [0] * len(parents)
    row = 0
    waiting = [node for node in reversed(range(len(parents))) if parents[node] is None]
    while waiting:
        node = waiting.pop()
        rows[node] = row  # nodes come in the order of the picture, so this row is free from here to the right
        if not children[node]:
            row += 1
        waiting += reversed(children[node])
    return rows


def _line(start: Place, end: Place) -> str:
    """Return a line from the right side of a node to the left side of another."""
    x1, y1, x2, y2 = start.x + WIDTH, start.middle, end.x, end.middle
    bend = (x1 + x2) // 2
    return f"M{x1} {y1}H{x2}" if y1 == y2 else f"M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}"


def shorten(text: str, width: int = TEXT_WIDTH) -> str:
    """Return a text cut with an ellipsis to `width` characters; wide ones, as of Chinese, count twice."""
    one_line = " ".join(text.split())
    room = width
    kept: list[str] = []
    for character in one_line:
        room -= 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if room < 0:
            return "".join(kept[:-1]).rstrip() + "…"
        kept.append(character)
    return one_line
