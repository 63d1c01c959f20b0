"""One run with all that it holds, and searches among many."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.bodies import key_name
from benchmarks.filled import filled, noted
from benchmarks.hub import Hub
from benchmarks.load import measure_elsewhere
from benchmarks.peers.mlflow_fill import fill_mlflow
from benchmarks.protocol.points import AS_USUAL
from benchmarks.protocol.sides import Tracker
from benchmarks.protocol.works import Figure, Outcome, in_turn, times_of

KEYS, POINTS, PARAMS, TAGS = 50, 1000, 50, 20  # of the run that is read
_POINTS_AT_ONCE = 20  # of each key in a batch
_MARK = "the last value"
GET_AIM, SEARCH_AIM = 3.0, 5.0
PAGE, MOST_LOSS = 50, 0.5  # losses are spread evenly from 0 to 5, so that the filter keeps a tenth
METRICS = 10  # of each of the many runs, beside 3 parameters and 3 tags
_CELL_SECONDS = 60.0
_FIRST_MS = 1_764_000_000_000
_SEARCHES: dict[str, dict[str, Any]] = {
    "ordered by a metric": {"order_by": ["metrics.loss ASC"]},
    "with metric < x": {"filter": f"metrics.loss < {MOST_LOSS}", "order_by": ["attributes.start_time DESC"]},
    "newest": {"order_by": ["attributes.start_time DESC"]},
}
_IS_RIGHT: dict[str, Callable[[list[float]], bool]] = {
    "ordered by a metric": lambda losses: losses == sorted(losses),
    "with metric < x": lambda losses: max(losses) < MOST_LOSS,
    "newest": lambda losses: len(losses) == PAGE,
}


# --- One run --------------------------------------------------------------------------------------
def fill_run(side: Tracker) -> str:
    """Make a run with 50 metrics of 1,000 points each, 50 parameters and 20 tags, through the protocol."""
    run = str(side.new_run(side.new_experiment("a full run"))["run_id"])
    for start in range(0, POINTS, _POINTS_AT_ONCE):
        metrics = [
            {"key": key_name(key), "value": step / (key + 1), "timestamp": _FIRST_MS + step, "step": step}
            for key in range(KEYS)
            for step in range(start, start + _POINTS_AT_ONCE)
        ]
        side.must("POST", "runs/log-batch", {"run_id": run, "metrics": metrics})
    params = [{"key": f"parameter_{index:02d}", "value": f"{index / 7}"} for index in range(PARAMS - 1)]
    params.append({"key": "the_last", "value": _MARK})
    tags = [{"key": f"tag_{index:02d}", "value": "of the benchmark"} for index in range(TAGS)]
    side.must("POST", "runs/log-batch", {"run_id": run, "params": params, "tags": tags})
    data = side.must("GET", f"runs/get?run_id={run}")["run"]["data"]
    if {metric["step"] for metric in data["metrics"]} != {POINTS - 1} or len(data["params"]) != PARAMS:
        raise RuntimeError(f"{side.server} does not show what the run holds")
    return run


def measure_get(outcome: Outcome, sides: Sequence[Tracker], rounds: int, seconds: float) -> None:
    """Read the run again and again, on one connection."""
    runs = {side.server: fill_run(side) for side in sides}
    for at_once in (True, False):
        name = f"runs/get, {KEYS} metrics, {PARAMS} params, {TAGS} tags{'' if at_once else AS_USUAL}"
        in_turn(outcome, sides, name, partial(_get, name=name, runs=runs, seconds=seconds, at_once=at_once), rounds)


def _get(side: Tracker, *, name: str, runs: dict[str, str], seconds: float, at_once: bool) -> Mapping[Figure, float]:
    run = runs[side.server]
    route = f"runs/get?run_id={run}&run_uuid={run}"  # clients send both
    (figures,) = measure_elsewhere(side.load(route, [run], seconds, expect=_MARK, at_once=at_once))
    return {
        Figure(name, "requests/s", is_rate=True, times_better=GET_AIM if at_once else None): (
            figures.requests_per_second
        ),
        **times_of(name, figures),
    }


# --- Many runs ------------------------------------------------------------------------------------
def fill_hub(hub: Hub, count: int) -> str:
    """Fill a hub's tables with so many runs unless that was done before; return the id of their experiment."""
    return str(filled(hub, "tracked", count=count, metrics=METRICS)["experiment"])


def _experiment_of(side: Tracker, count: int) -> str:
    """Return the id of the experiment with so many runs, which are made where there are none yet."""
    host = side.host
    if isinstance(host, Hub):
        return fill_hub(host, count)
    name = f"{side.server} {json.dumps({'runs': count, 'metrics': METRICS})}"
    noted(host.data, name, lambda: fill_mlflow(host.database, runs=count, metrics=METRICS, points=[]))
    return "0"


def measure_search(outcome: Outcome, sides: Sequence[Tracker], count: int, rounds: int, requests: int) -> None:
    """Ask for 50 of many runs, by a metric and by their start."""
    experiments = {side.server: _experiment_of(side, count) for side in sides}
    for what, search in _SEARCHES.items():
        aim = None if what == "newest" else SEARCH_AIM
        figure = Figure(f"runs/search, 50 of {count:,} runs, {what}, p50", "ms", times_better=aim)
        for side in sides:
            _check(side, what, _body(search, experiments[side.server]))
        in_turn(
            outcome,
            sides,
            figure.name,
            partial(_search, figure=figure, search=search, experiments=experiments, requests=requests),
            rounds,
        )


def _body(search: dict[str, Any], experiment: str) -> dict[str, Any]:
    return {"experiment_ids": [experiment], "max_results": PAGE, **search}


def _search(
    side: Tracker, *, figure: Figure, search: dict[str, Any], experiments: dict[str, str], requests: int
) -> Mapping[Figure, float]:
    body = json.dumps(_body(search, experiments[side.server]))
    load = side.load(
        "runs/search", [""], _CELL_SECONDS, body=body, requests=requests, expect='"next_page_token"', at_once=True
    )
    (figures,) = measure_elsewhere(load)
    return {figure: figures.p50_ms, Figure("p99", "ms", part_of=figure.name): figures.p99_ms}


def _check(side: Tracker, what: str, body: dict[str, Any]) -> None:
    """Raise RuntimeError unless the page is full, its runs hold what they must, and it is what was asked for."""
    runs = side.must("POST", "runs/search", body)["runs"]
    losses = [
        float(metric["value"]) for run in runs for metric in run["data"]["metrics"] if metric["key"] == key_name(0)
    ]
    sizes = {(len(run["data"]["metrics"]), len(run["data"]["params"])) for run in runs}
    if len(losses) != PAGE or sizes != {(METRICS, 3)} or not _IS_RIGHT[what](losses):
        raise RuntimeError(f"{side.server}, {what}: not the page that was asked for ({len(runs)} runs, {sizes})")
