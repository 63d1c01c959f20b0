"""How the page of a comparison shows runs and rows: colours of lines, columns, and texts of cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple
from urllib.parse import urlencode

from runs.comparison import METRICS, SYSTEM, Cell, Row
from runs.comparison_export import plain_text
from runs.models import Run
from runs.panels import group_metrics

MAX_ROWS = 200  # of a section; a page with more says so and leads to the files, which have all
LONG = 48  # characters of a value that a cell shows without a click
MAX_DRAWN = 4  # metrics that a browser without JavaScript gets a drawing of
MAX_TEXT = 2000  # characters of a value on the page at all

_TITLES = {
    "run": "Run",
    "hyperparameters": "Hyperparameters",
    "model_parameters": "Model parameters",
    "params": "Logged parameters",
    "metrics": "Metrics",
    "system": "System metrics",
}


class Style(NamedTuple):
    """A run's line in every chart and legend; `dash` is SVG's."""

    colour: str
    dash: str


# Each with a contrast of at least 3:1 to the light and to the dark ground (WCAG 1.4.11), so that one set does for both.
_COLOURS = (
    "#3b7ddd",
    "#d9720a",
    "#2e9e5b",
    "#c74696",
    "#0f95a8",
    "#9a7b0c",
    "#7468e8",
    "#e0475b",
    "#6a9a1f",
    "#74828f",
)
STYLES = tuple(Style(colour, dash) for dash in ("", "6 4") for colour in _COLOURS)


@dataclass(frozen=True, slots=True)
class Column:
    """A run in the table and in the legend: `label` tells it from the others, the queries are those of its links."""

    run: Run
    label: str
    style: Style
    without: str
    first: str


def columns(runs: Sequence[Run], *, only_differences: bool) -> list[Column]:
    """Return a column for each run; runs of one name are told apart by the end of their ids."""
    counts = Counter(run.name for run in runs)
    uids = [run.uid for run in runs]
    found = []
    for run, style in zip(runs, STYLES, strict=False):
        others = [uid for uid in uids if uid != run.uid]
        label = run.name if counts[run.name] == 1 else f"{run.name} (…{run.uid[-4:]})"
        without, first = (
            query_of(wanted, only_differences=only_differences) for wanted in (others, [run.uid, *others])
        )
        found.append(Column(run, label, style, without, first))
    return found


def query_of(uids: Sequence[str], *, only_differences: bool) -> str:
    """Return the query string of a comparison."""
    return urlencode([*(("run", uid) for uid in uids), *([] if only_differences else [("differences", "0")])])


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of one group; `cut` of them are left out of the page."""

    name: str
    title: str
    rows: Sequence[Row]
    cut: int


def sections(rows: Sequence[Row]) -> list[Section]:
    """Return the rows by group, in their order."""
    return list(_sections(rows))


def _sections(rows: Sequence[Row]) -> Iterator[Section]:
    for group, found in groupby(rows, key=lambda row: row.group):
        own = list(found)
        yield Section(group, _TITLES[group], own[:MAX_ROWS], max(0, len(own) - MAX_ROWS))


def cell_text(cell: Cell) -> str:
    """Return the text of a cell that is no metric; a long one ends in the number of its characters."""
    text = "null" if cell.value is None else plain_text(cell.value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text):,} characters)"


def unit_of(metric: str) -> str:
    """Return the unit as charts take it: percent (of 0 to 1), bytes, a sign, or empty."""
    return group_metrics([metric])[0].unit


@dataclass(frozen=True, slots=True)
class PanelSection:
    """Metrics to draw, one chart each; `cut` of them are left out of the page."""

    title: str
    names: Sequence[str]
    is_system: bool
    cut: int


def panels(rows: Sequence[Row]) -> list[PanelSection]:
    """Return the charts: what the trainers logged, losses first, and what the runners measured."""
    titles = {METRICS: "Charts", SYSTEM: "System charts"}
    names = {group: [row.name for row in rows if row.group == group] for group in titles}
    return [
        PanelSection(title, names[group][:MAX_ROWS], group == SYSTEM, max(0, len(names[group]) - MAX_ROWS))
        for group, title in titles.items()
        if names[group]
    ]


def drawn_without_script(rows: Sequence[Row]) -> list[str]:
    """Return the metrics that the server draws: the losses, or else the first metrics."""
    names = [row.name for row in rows if row.group == METRICS]
    return ([name for name in names if "loss" in name] or names)[:MAX_DRAWN]
