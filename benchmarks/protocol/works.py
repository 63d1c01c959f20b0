"""The same work on both servers in turn, round by round; and what the report says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from benchmarks.filled import say
from benchmarks.load import Figures
from benchmarks.ratios import Ratio
from benchmarks.report import Report

RATIOS = " beside the peers, times better"  # as in the other reports: the summary knows them by it


class Side(Protocol):
    """A server of the two."""

    server: str

    def wait_until_idle(self) -> None:
        """Wait until it has nothing to do."""


OneSide = TypeVar("OneSide", bound=Side)


@dataclass(frozen=True)
class Figure:
    """One figure of a work. `times_better` is the aim beside MLflow, `at_most` the aim of trainhub alone."""

    name: str
    unit: str
    is_rate: bool = False
    times_better: float | None = None
    at_most: float | None = None
    is_compared: bool = True
    part_of: str = ""  # the figure below which it is shown


@dataclass
class Outcome:
    """What was seen: figures in the order they came, with all samples by server."""

    figures: list[Figure] = field(default_factory=list)
    samples: dict[tuple[str, Figure], list[float]] = field(default_factory=dict)  # by server and figure

    def take(self, server: str, figure: Figure, sample: float) -> None:
        """Add one sample."""
        if figure not in self.figures:
            self.figures.append(figure)
        self.samples.setdefault((server, figure), []).append(sample)

    def report_to(self, report: Report, servers: Sequence[str]) -> None:
        """Add the figures of each server, then the ratios where both were measured. Ours is the first."""
        for server in servers:
            report.server = server
            for figure in self.figures:
                if found := self.samples.get((server, figure)):
                    _add(report, figure, found, is_ours=server == servers[0])
        if len(servers) < 2:
            return
        report.server = f"{servers[0]}{RATIOS}"
        for figure in self.figures:
            ours, theirs = ((server, figure.name, "") for server in servers[:2])
            ratio = Ratio(f"{figure.name}: MLflow", ours, theirs, is_rate=figure.is_rate)
            if figure.is_compared and not figure.part_of and (samples := ratio.samples(report)):
                report.add(ratio.name, "×", samples, at_least=figure.times_better)


def _add(report: Report, figure: Figure, samples: list[float], *, is_ours: bool) -> None:
    if figure.part_of:
        report.add_part(figure.name, figure.unit, samples)
    else:
        report.add(figure.name, figure.unit, samples, at_most=figure.at_most if is_ours else None)


def in_turn(
    outcome: Outcome,
    sides: Sequence[OneSide],
    what: str,
    work: Callable[[OneSide], Mapping[Figure, float]],
    rounds: int,
) -> None:
    """Let both servers do a work once to warm up, then `rounds` times in turn, each first in every other round."""
    for number in range(rounds + 1):
        for side in sides if number % 2 else list(reversed(sides)):
            for other in sides:
                other.wait_until_idle()
            seen = work(side)
            say(f"{what}, {side.server}, {'warming up' if number == 0 else f'{number} of {rounds}'}: {_short(seen)}")
            for figure, sample in seen.items() if number else ():
                outcome.take(side.server, figure, sample)


def times_of(name: str, figures: Figures) -> dict[Figure, float]:
    """Return the times of single requests, as parts of the figure of that name."""
    return {
        Figure("p50", "ms", part_of=name): figures.p50_ms,
        Figure("p99", "ms", part_of=name): figures.p99_ms,
    }


def _short(seen: Mapping[Figure, float]) -> str:
    figure, sample = next(iter(seen.items()))
    return f"{sample:,.4g} {figure.unit}"
