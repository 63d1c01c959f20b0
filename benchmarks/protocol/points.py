"""Points as trainers send them: a thousand in a batch, and one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from benchmarks.bodies import FIRST_CALL, Size
from benchmarks.load import Figures, Load, measure_elsewhere
from benchmarks.protocol.sides import Tracker
from benchmarks.protocol.works import Figure, Outcome, in_turn, times_of

THOUSAND, SINGLE = Size(10, 100), Size()
BATCH, METRIC = "runs/log-batch", "runs/log-metric"
BATCH_AIM, METRIC_AIM = 20.0, 3.0
AS_USUAL = ", client as usual"  # else it acknowledges packets at once, which favours MLflow


def measure_points(outcome: Outcome, sides: Sequence[Tracker], rounds: int, seconds: float) -> None:
    """Send batches of 10 keys × 100 points on 1 and 4 connections, and single points."""
    for connections in (1, 4):
        _measure(outcome, sides, BATCH, connections, rounds, seconds)
        _measure(outcome, sides, METRIC, connections, rounds, seconds)
    _measure(outcome, sides, METRIC, 1, rounds, seconds, at_once=False)


def _measure(
    outcome: Outcome,
    sides: Sequence[Tracker],
    route: str,
    connections: int,
    rounds: int,
    seconds: float,
    *,
    at_once: bool = True,
) -> None:
    many = "1 connection" if connections == 1 else f"{connections} connections"
    name = f"{route}{' of 1,000 points' if route == BATCH else ''}, {many}{'' if at_once else AS_USUAL}"
    work = partial(_send, name=name, route=route, connections=connections, seconds=seconds, at_once=at_once)
    in_turn(outcome, sides, name, work, rounds)


def _send(
    side: Tracker, *, name: str, route: str, connections: int, seconds: float, at_once: bool
) -> Mapping[Figure, float]:
    """Send to new runs as fast as the server takes it; returns rate and times."""
    size, shape = (THOUSAND, "mlflow_batch") if route == BATCH else (SINGLE, "mlflow_metric")
    experiment = side.new_experiment(name)
    runs = [str(side.new_run(experiment)["run_id"]) for _ in range(connections)]
    load = side.load(route, runs, seconds, shape=shape, size=size, expect="{", at_once=at_once)
    (figures,) = measure_elsewhere(load)
    _check(side, load, size, figures)
    aim = BATCH_AIM if route == BATCH else METRIC_AIM
    return {
        Figure(name, "points/s", is_rate=True, times_better=aim if at_once else None): (
            figures.requests_per_second * size.points
        ),
        **times_of(name, figures),
    }


def _check(side: Tracker, load: Load, size: Size, figures: Figures) -> None:
    """Raise RuntimeError unless every run has its last step for every key."""
    for sender, calls in zip(load.senders, figures.calls, strict=True):
        metrics = side.must("GET", f"runs/get?run_id={sender.run}")["run"]["data"]["metrics"]
        found = {int(metric["step"]) for metric in metrics}
        if len(metrics) != size.keys or found != {(FIRST_CALL + calls) * size.steps - 1}:
            raise RuntimeError(f"{side.server} holds {found}, not the last step of {calls} calls")
