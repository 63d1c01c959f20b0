"""The lineage of a run as what a template draws: an SVG, and the same as a list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from artifacts.lineage.layout import HEIGHT, WIDTH, Place, lay_out, shorten
from artifacts.lineage.tree import Lineage, Node, read_lineage
from artifacts.models import Artifact
from runs.models import Run

_DETAIL_WIDTH = 27  # characters of the smaller line


@dataclass(frozen=True, slots=True)
class Drawn:
    """A node with its place and its texts, short enough to be drawn. `depth` is how many nodes are before it."""

    node: Node
    place: Place
    title: str
    detail: str
    depth: int


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn, on an area of `width` by `height`; `node_width` and `node_height` are those of each node."""

    lineage: Lineage
    nodes: list[Drawn]
    lines: list[str]
    width: int
    height: int
    node_width: int = WIDTH
    node_height: int = HEIGHT

    @property
    def indented(self) -> list[Drawn]:
        """The nodes in the order of a nested list: each directly behind its parent or what is below a sibling."""
        return list(_in_order(self.nodes))


def draw_lineage(run: Run, *, current: Artifact | None = None) -> Picture:
    """Return the picture around a run that the caller may see; `current` is the artifact to mark. Two queries."""
    return draw(read_lineage(run, current=current))


def draw(lineage: Lineage) -> Picture:
    """Place the nodes of a lineage."""
    layout = lay_out([node.parent for node in lineage.nodes])
    depths: list[int] = []
    drawn = []
    for node, place in zip(lineage.nodes, layout.places, strict=True):
        depths.append(0 if node.parent is None else depths[node.parent] + 1)
        detail = " · ".join(filter(None, [node.detail, f"+{node.more}" if node.more else ""]))
        drawn.append(Drawn(node, place, shorten(node.title), shorten(detail, _DETAIL_WIDTH), depths[-1]))
    return Picture(lineage, drawn, layout.lines, layout.width, layout.height)


def _in_order(nodes: list[Drawn]) -> Iterator[Drawn]:
    children: dict[int | None, list[int]] = {}
    for index, one in enumerate(nodes):
        children.setdefault(one.node.parent, []).append(index)
    waiting = list(reversed(children.get(None, [])))
    while waiting:
        index = waiting.pop()
        yield nodes[index]
        waiting += reversed(children.get(index, []))
