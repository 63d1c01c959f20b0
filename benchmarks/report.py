"""What was measured: samples with their unit and aim, as a table for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass
class Result:
    """One figure: all its samples in `unit`. `below` is the aim, None where there is none."""

    name: str
    unit: str
    samples: list[float]
    below: float | None = None
    is_part: bool = False  # of the figure above it

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    @property
    def verdict(self) -> str:
        """Whether the median meets the aim; empty without an aim."""
        if self.below is None:
            return ""
        return f"< {self.below:g}: {'met' if self.median < self.below else 'MISSED'}"

    def row(self) -> tuple[str, str, str, str]:
        """Return name, median, spread and verdict as texts."""
        spread = f"{_short(min(self.samples))} – {_short(max(self.samples))} ({len(self.samples)})"
        name = f"  {self.name}" if self.is_part else self.name
        return name, f"{_short(self.median)} {self.unit}", spread, self.verdict

    def as_json(self) -> dict[str, Any]:
        """Return the figure as plain JSON."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "samples": self.samples,
            "below": self.below,
            "is_part": self.is_part,
        }


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on; `load` is the load average of the last minute before the start."""
    memory_kib = next(
        int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:")
    )
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory_kib * 1024 / 1e9, 1),
        "python": platform.python_version(),
        "linux": platform.release(),
        "load": round(os.getloadavg()[0], 1),
    }


@dataclass
class Report:
    """All figures of one benchmark, and the machine they were seen on."""

    machine: dict[str, Any] = field(default_factory=describe_machine)
    results: list[Result] = field(default_factory=list)

    def add(self, name: str, unit: str, samples: list[float], below: float | None = None) -> None:
        """Add a figure."""
        self.results.append(Result(name, unit, samples, below))

    def add_part(self, name: str, unit: str, samples: list[float]) -> None:
        """Add a part of the figure added last."""
        self.results.append(Result(name, unit, samples, is_part=True))

    def table(self) -> str:
        """Return the report as text."""
        head = ("", "median", "lowest – highest (samples)", "aim")
        rows = [head, *(result.row() for result in self.results)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        described = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        return "\n".join([described, "", *lines])

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {"machine": self.machine, "results": [result.as_json() for result in self.results]}


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
