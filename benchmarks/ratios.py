"""The same work beside the peers: ratios of medians, with the aims."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.databases import POSTGRES, SQLITE
from benchmarks.ingest import CPU_ALL
from benchmarks.lists import FILTERED, NEWEST, ORDERED, by_number
from benchmarks.peers.mlflow import AT_ONCE
from benchmarks.reads import chart_name, zoom_name
from benchmarks.report import Report
from benchmarks.start import MEMORY, START

_CONNECTIONS = ("1 connection", "8 connections")


@dataclass(frozen=True)
class Ratio:
    """How many times better `ours` is than `theirs`: (server, figure, part). `is_rate`: more is better."""

    name: str
    ours: tuple[str, str, str]
    theirs: tuple[str, str, str]
    at_least: float | None = None
    is_rate: bool = False

    def samples(self, report: Report) -> list[float]:
        """Return the least, the likely and the greatest ratio; empty unless both were measured."""
        ours, theirs = report.samples(*self.ours), report.samples(*self.theirs)
        if not ours or not theirs:
            return []
        better, worse = (ours, theirs) if self.is_rate else (theirs, ours)
        likely = statistics.median(better) / statistics.median(worse)
        return [min(better) / max(worse), likely, max(better) / min(worse)]


def add_ratios(report: Report) -> None:
    """Add every ratio that can be told from what was measured."""
    for kind in (SQLITE, POSTGRES):
        report.server = f"trainhub on {kind} beside the peers, times better"
        for ratio in _ratios(kind):
            if samples := ratio.samples(report):
                report.add(ratio.name, "×", samples, at_least=ratio.at_least)


def _ratios(kind: str) -> Iterator[Ratio]:
    ours, mlflow = f"trainhub, {kind}", f"MLflow, {kind}"
    yield from _beside_mlflow(ours, mlflow)
    yield from _beside_trackio(ours, is_like=kind == SQLITE)
    for name, at_least in ((NEWEST, 50), (ORDERED, 150), (FILTERED, 75)):
        yield Ratio(f"{name}: MLflow", (ours, name, ""), (mlflow, name, ""), at_least)
        yield Ratio(f"{by_number(name)}: MLflow", (ours, by_number(name), ""), (mlflow, name, ""))
    for name in (chart_name(1_000_000), zoom_name(1_000_000)):
        yield Ratio(f"{name}: MLflow", (ours, name, ""), (mlflow, name, ""))
    for name in (START, MEMORY):
        yield Ratio(f"{name}: MLflow", (ours, name, ""), (mlflow, name, ""))


def _beside_mlflow(ours: str, mlflow: str) -> Iterator[Ratio]:
    for many in _CONNECTIONS:
        theirs = f"1,000 points a call, {many}"
        for shape, at_least in (("columns", 80), ("objects", 50)):
            name = f"1,000 points a call, {shape}, {many}"
            yield Ratio(f"{name}: MLflow", (ours, name, ""), (mlflow, theirs, ""), at_least, is_rate=True)
    name, theirs = "1,000 points a call, columns, 1 connection", "1,000 points a call, 1 connection"
    yield Ratio(f"server CPU, {name}: MLflow", (ours, name, CPU_ALL), (mlflow, theirs, CPU_ALL), 60)
    for many in _CONNECTIONS:
        name, at_once = f"1 point a call, {many}", f"1 point a call{AT_ONCE}, {many}"
        yield Ratio(f"{name}: MLflow{AT_ONCE}", (ours, name, ""), (mlflow, at_once, ""), 10, is_rate=True)
        yield Ratio(f"{name}: MLflow, client as usual", (ours, name, ""), (mlflow, name, ""), is_rate=True)


def _beside_trackio(ours: str, *, is_like: bool) -> Iterator[Ratio]:
    """`is_like`: both on SQLite, the only database that trackio has."""
    trackio = f"trackio, {SQLITE}"
    for many in _CONNECTIONS:
        for points, at_least in (("1,000", 5), ("10,000", 13)):
            name, theirs = f"{points} points a call, columns, {many}", f"{points} points a call, {many}"
            aim = at_least if is_like else None
            yield Ratio(f"{name}: trackio", (ours, name, ""), (trackio, theirs, ""), aim, is_rate=True)
        name = f"1 point a call, {many}"
        yield Ratio(f"{name}: trackio", (ours, name, ""), (trackio, name, ""), is_rate=True)
