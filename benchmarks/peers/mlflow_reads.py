"""MLflow's charts and lists, filled as the hub is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from benchmarks.filled import noted
from benchmarks.lists import FILTERED, MOST_LOSS, NEWEST, ORDERED, PAGE
from benchmarks.load import Load, Sender, measure_elsewhere
from benchmarks.peers.mlflow import API, Mlflow
from benchmarks.peers.mlflow_fill import fill_mlflow
from benchmarks.reads import chart_name, report_times, zoom_name
from benchmarks.report import Report

CHART_API = "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"
CHART_POINTS = 320  # what MLflow's own pages ask for
REQUESTS = 5  # in a round: its charts and lists take from a tenth of a second to several
_CELL_SECONDS = 60.0
_SEARCHES: dict[str, dict[str, Any]] = {
    NEWEST: {"order_by": ["attributes.start_time DESC"]},
    ORDERED: {"order_by": ["metrics.loss ASC"]},
    FILTERED: {"order_by": ["attributes.start_time DESC"], "filter": f"metrics.loss < {MOST_LOSS}"},
}


def prepare(server: Mlflow, *, runs: int, metrics: int, points: Sequence[int]) -> dict[str, str]:
    """Start the server, so that it makes its tables, and fill them; returns the runs of the long series."""
    server.start()
    name = f"{server.server} {json.dumps({'runs': runs, 'metrics': metrics, 'points': list(points)})}"
    made: dict[str, str] = noted(
        server.data, name, lambda: fill_mlflow(server.database, runs=runs, metrics=metrics, points=points)
    )
    return made


def measure_charts(report: Report, server: Mlflow, long_runs: dict[str, str], rounds: int) -> None:
    """Ask for charts of whole series and of a hundredth of them."""
    for text, run in long_runs.items():
        count = int(text)
        whole = {"run_ids": run, "metric_key": "loss", "max_results": CHART_POINTS}
        zoomed = {**whole, "start_step": count // 2, "end_step": count // 2 + max(count // 100, 1) - 1}
        loads = [
            _at_once(server, f"{CHART_API}?{urlencode(query)}", expect='"metrics"', requests=REQUESTS)
            for query in (whole, zoomed)
        ]
        _measure(report, [chart_name(count), zoom_name(count)], loads, rounds)


def measure_lists(report: Report, server: Mlflow, rounds: int) -> None:
    """Ask for the first page of each list."""
    asked = {name: {"experiment_ids": ["0"], "max_results": PAGE, **search} for name, search in _SEARCHES.items()}
    for name, body in asked.items():
        found = server.must("POST", "/runs/search", body)["runs"]
        if len(found) != PAGE:
            raise RuntimeError(f"MLflow, {name}: {len(found)} runs instead of {PAGE}")
    loads = [
        _at_once(server, f"{API}/runs/search", expect='"next_page_token"', requests=REQUESTS, body=json.dumps(body))
        for body in asked.values()
    ]
    _measure(report, list(asked), loads, rounds)


def _at_once(server: Mlflow, path: str, **more: Any) -> Load:
    """Return a load whose client acknowledges at once: the time shown is MLflow's own."""
    return Load(server.port, path, [Sender()], _CELL_SECONDS, at_once=True, **more)


def _measure(report: Report, names: Sequence[str], loads: Sequence[Load], rounds: int) -> None:
    seen = zip(*(measure_elsewhere(*loads) for _ in range(rounds)), strict=True)
    for name, figures in zip(names, seen, strict=True):
        report_times(report, name, figures)
