"""Pages of long logs and charts of long series, over HTTP on one kept connection."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from benchmarks.filled import filled
from benchmarks.hub import Hub
from benchmarks.load import Figures, Load, Sender, measure_elsewhere
from benchmarks.report import Report

PAGE_SIZES = (50, 500)
DEPTHS = (0.01, 0.5, 0.99)
CHART_POINTS = 1000
PAGE_LIMIT_MS, FLATNESS_LIMIT = 4.0, 1.3
CHART_LIMIT_MS, ZOOM_LIMIT_MS = 8.0, 10.0
LINE_LIMIT_BYTES, POINT_LIMIT_BYTES = 30.0, 10.0
_CELL_SECONDS = 20.0  # the most that the requests of one cell may take
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cell:
    """One page of one log: how it is asked for, and the first line that must be on it."""

    lines: int
    size: int
    depth: float
    by: str
    path: str
    first: int

    @property
    def name(self) -> str:
        """What the report calls it."""
        return f"{self.lines:,} lines, at {100 * self.depth:.0f} %"


def _cells(logs: Sequence[dict[str, Any]], size: int) -> list[Cell]:
    cells = []
    for log in logs:
        for depth in DEPTHS:
            pages = log["count"] // size
            page = min(max(1, round(depth * pages)), pages)  # always a full one
            by_number = {"page": page, "page_size": size}
            cells.append(_cell(log, size, depth, "number", by_number, first=(page - 1) * size))
            first = min(int(depth * log["count"]), log["count"] - size)
            moment = _EPOCH + timedelta(microseconds=log["first_time_us"] + first * log["line_step_us"])
            by_time = {"start_time": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "page_size": size}
            cells.append(_cell(log, size, depth, "time", by_time, first=first))
    return cells


def _cell(log: dict[str, Any], size: int, depth: float, by: str, query: dict[str, Any], *, first: int) -> Cell:
    return Cell(log["count"], size, depth, by, f"{log['run']}/logs?{urlencode(query)}", first)


def measure_logs(report: Report, hub: Hub, counts: Sequence[int], rounds: int, requests: int) -> None:
    """Ask for pages at several depths of logs of several lengths, by number and by time."""
    logs = [filled(hub, "lines", count=count) for count in counts]
    report.add("bytes on disk a log line of 96 bytes", "B", [logs[-1]["bytes"] / counts[-1]], at_most=LINE_LIMIT_BYTES)
    for size in PAGE_SIZES:
        cells = _cells(logs, size)
        for cell in cells:
            _check(hub, cell)
        loads = [_load(hub, cell.path, requests, f'"line":{cell.first},') for cell in cells]
        seen = list(zip(*(measure_elsewhere(*loads) for _ in range(rounds)), strict=True))
        for by in ("number", "time"):
            _report_pages(
                report,
                f"log page of {size} by {by}",
                {cell.name: figures for cell, figures in zip(cells, seen, strict=True) if cell.by == by},
            )


def _load(hub: Hub, path: str, requests: int, expect: str) -> Load:
    return Load(hub.port, path, [Sender(token=hub.token)], _CELL_SECONDS, requests=requests, expect=expect)


def _check(hub: Hub, cell: Cell) -> None:
    items = hub.must("GET", cell.path)["items"]
    if [item["line"] for item in items] != list(range(cell.first, cell.first + cell.size)):
        raise RuntimeError(f"{cell.path} does not show {cell.size} lines from {cell.first} on")


def _report_pages(report: Report, name: str, cells: dict[str, tuple[Figures, ...]]) -> None:
    """Add the slowest cell of each round, how far cells are apart, and every cell."""
    per_round = list(zip(*cells.values(), strict=True))
    slowest = [max(one.p50_ms for one in figures) for figures in per_round]
    report.add(f"{name}, p50 of the slowest", "ms", slowest, at_most=PAGE_LIMIT_MS)
    report.add_part("p99 of the slowest", "ms", [max(one.p99_ms for one in figures) for figures in per_round])
    for cell, figures in cells.items():
        report.add_part(f"{cell}, p50", "ms", [one.p50_ms for one in figures])
    medians = [statistics.median(one.p50_ms for one in figures) for figures in cells.values()]
    report.add(f"{name}, slowest / fastest", "×", [max(medians) / min(medians)], at_most=FLATNESS_LIMIT)


def measure_charts(report: Report, hub: Hub, counts: Sequence[int], rounds: int, requests: int) -> None:
    """Ask for charts of whole series and of a hundredth of them."""
    for count in counts:
        series = filled(hub, "points", count=count)
        report.add(
            f"bytes on disk a point, {count:,} points", "B", [series["bytes"] / count], at_most=POINT_LIMIT_BYTES
        )
        whole = f"{series['run']}/metrics?key=loss&points={CHART_POINTS}"
        first, span = count // 2, max(count // 100, 1)
        zoomed = f"{whole}&first_step={first}&last_step={first + span - 1}"
        aims = (CHART_LIMIT_MS, ZOOM_LIMIT_MS) if count <= 1_000_000 else (None, None)
        loads = [_load(hub, whole, requests, f'"total":{count},'), _load(hub, zoomed, requests, f'"total":{span},')]
        seen = list(zip(*(measure_elsewhere(*loads) for _ in range(rounds)), strict=True))
        for name, at_most, figures in zip((chart_name(count), zoom_name(count)), aims, seen, strict=True):
            report_times(report, name, figures, at_most)


def chart_name(count: int) -> str:
    """Return what the report calls a chart of a whole series."""
    return f"chart of {count:,} points, p50"


def zoom_name(count: int) -> str:
    """Return what the report calls a chart of a hundredth of a series."""
    return f"chart of 1 % of {count:,} points, p50"


def report_times(report: Report, name: str, figures: Sequence[Figures], at_most: float | None = None) -> None:
    """Add p50 and p99 of the same request in several rounds."""
    report.add(name, "ms", [one.p50_ms for one in figures], at_most=at_most)
    report.add_part("p99", "ms", [one.p99_ms for one in figures])
