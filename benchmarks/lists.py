"""Pages of a list of many runs: newest first, ordered by a metric, filtered by a metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from benchmarks.filled import filled
from benchmarks.hub import Hub
from benchmarks.load import Load, Sender, measure_elsewhere
from benchmarks.reads import report_times
from benchmarks.report import Report

PAGE = 50
MOST_LOSS = 0.5  # of the filtered list; losses are spread evenly from 0 to 5, so that it keeps a tenth
NEWEST, ORDERED, FILTERED = "newest 50, p50", "50 ordered by a metric, p50", "newest 50 with metric < x, p50"
BY_NUMBER = "by page number"
_QUERIES = {NEWEST: {}, ORDERED: {"order": "metrics.loss"}, FILTERED: {"where": f"metrics.loss < {MOST_LOSS}"}}
_CELL_SECONDS = 60.0


def by_number(name: str) -> str:
    """Return what the report calls the same list by page number, which comes with an exact total."""
    return f"{name}, {BY_NUMBER}"


def measure_lists(report: Report, hub: Hub, count: int, metrics: int, rounds: int, requests: int) -> None:
    """Ask for the first page of each list, by cursor and by page number."""
    filled(hub, "runs", count=count, metrics=metrics)
    paths = {}
    for name, query in _QUERIES.items():
        paths[name] = f"/runs?{urlencode({**query, 'page_size': PAGE, 'cursor': ''})}"
        paths[by_number(name)] = f"/runs?{urlencode({**query, 'page_size': PAGE})}"
    for name, path in paths.items():
        _check(name, hub.must("GET", path)["items"], metrics)
    loads = [
        Load(hub.port, path, [Sender(token=hub.token)], _CELL_SECONDS, requests=requests, expect='"loss":')
        for path in paths.values()
    ]
    seen = zip(*(measure_elsewhere(*loads) for _ in range(rounds)), strict=True)
    for name, figures in zip(paths, seen, strict=True):
        report_times(report, name, figures)


def _check(name: str, runs: list[dict[str, Any]], metrics: int) -> None:
    """Raise RuntimeError unless the page is full and in the order, or within the condition, that was asked for."""
    losses = [run["metrics"]["loss"] for run in runs]
    is_right: dict[str, Callable[[], bool]] = {
        ORDERED: lambda: losses == sorted(losses),
        FILTERED: lambda: max(losses) < MOST_LOSS,
    }
    wanted = is_right.get(name.removesuffix(f", {BY_NUMBER}"), lambda: True)
    if len(runs) != PAGE or {len(run["metrics"]) for run in runs} != {metrics} or not wanted():
        raise RuntimeError(f"{name}: not the page that was asked for")
