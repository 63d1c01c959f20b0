"""What was measured: samples with their unit and aim, as a table for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass
class Result:
    """One figure: all its samples in `unit`, of a `server` when several are measured.

    `at_most` and `at_least` are the aim, None where there is none.
    """

    name: str
    unit: str
    samples: list[float]
    server: str = ""
    at_most: float | None = None
    at_least: float | None = None
    is_part: bool = False  # of the figure above it

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    @property
    def verdict(self) -> str:
        """Whether the median meets the aim; empty without an aim."""
        if self.at_most is not None:
            return f"≤ {self.at_most:,g}: {'met' if self.median <= self.at_most else 'MISSED'}"
        if self.at_least is not None:
            return f"≥ {self.at_least:,g}: {'met' if self.median >= self.at_least else 'MISSED'}"
        return ""

    def row(self) -> tuple[str, str, str, str]:
        """Return name, median, spread and verdict as texts."""
        spread = f"{short(min(self.samples))} – {short(max(self.samples))} ({len(self.samples)})"
        name = f"  {self.name}" if self.is_part else self.name
        return name, f"{short(self.median)} {self.unit}", spread, self.verdict

    def as_json(self) -> dict[str, Any]:
        """Return the figure as plain JSON."""
        return {**asdict(self), "median": self.median, "verdict": self.verdict}


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on; `load` is the load average of the last minute before the start."""
    memory_kib = next(
        int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:")
    )
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "memory_gb": round(memory_kib * 1024 / 1e9, 1),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "linux": platform.release(),
        "load": round(os.getloadavg()[0], 1),
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


@dataclass
class Report:
    """All figures of one benchmark, and the machine they were seen on. `server` is whose figures are added."""

    machine: dict[str, Any] = field(default_factory=describe_machine)
    results: list[Result] = field(default_factory=list)
    server: str = ""

    def add(
        self,
        name: str,
        unit: str,
        samples: list[float],
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """Add a figure."""
        self.results.append(Result(name, unit, samples, self.server, at_most, at_least))

    def add_part(self, name: str, unit: str, samples: list[float]) -> None:
        """Add a part of the figure added last."""
        self.results.append(Result(name, unit, samples, self.server, is_part=True))

    def samples(self, server: str, name: str, part: str = "") -> list[float]:
        """Return the samples of a figure, or of one of its parts; empty when it was not measured."""
        above = ""
        for result in self.results:
            above = above if result.is_part else result.name
            if (result.server, above, result.name if result.is_part else "") == (server, name, part):
                return result.samples
        return []

    def table(self) -> str:
        """Return the report as text, the figures of each server below its name."""
        rows = [("", "median", "lowest – highest (samples)", "aim")]
        server = ""
        for result in self.results:
            if result.server != server:
                server = result.server
                rows += [("", "", "", ""), (f"— {server} —", "", "", "")]
            rows.append(result.row())
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        described = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        return "\n".join([described, "", *lines])

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {"machine": self.machine, "results": [result.as_json() for result in self.results]}


def short(value: float) -> str:
    """Return a number with about three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
