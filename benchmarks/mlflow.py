"""Measures the MLflow protocol beside MLflow's own server: `make bench-mlflow`. Same requests, client and machine.

Without PARTs all are measured: points, get, search, files, client. On SQLite, or with --database PostgreSQL on the
server that DATABASE_URL names. For every part both servers start fresh and are measured in turn. What it made is
removed at the end; with --data the databases with many runs stay and are used again.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks import databases
from benchmarks.filled import say
from benchmarks.hub import Hub
from benchmarks.peers.environment import REQUIREMENTS
from benchmarks.protocol import client, files, points, reading
from benchmarks.protocol.sides import MLFLOW, TRAINHUB, Tracker, started
from benchmarks.protocol.works import Outcome
from benchmarks.report import Report


@dataclass(frozen=True)
class Scale:
    """How much is filled and sent, and how long is measured."""

    rounds: int = 5
    seconds: float = 4.0
    runs: int = 100_000
    searches: int = 10
    large_bytes: int = 1_000_000_000
    file_rounds: int = 3
    client_calls: int = 30


FULL = Scale()
SMALL = Scale(1, 0.5, runs=1_000, searches=3, large_bytes=20_000_000, file_rounds=1, client_calls=3)

Part = Callable[[Outcome, Sequence[Tracker], Scale], None]
PARTS: dict[str, Part] = {
    "points": lambda outcome, sides, scale: points.measure_points(outcome, sides, scale.rounds, scale.seconds),
    "get": lambda outcome, sides, scale: reading.measure_get(outcome, sides, scale.rounds, scale.seconds),
    "search": lambda outcome, sides, scale: reading.measure_search(
        outcome, sides, scale.runs, scale.rounds, scale.searches
    ),
    "files": lambda outcome, sides, scale: files.measure_files(outcome, sides, scale.large_bytes, scale.file_rounds),
    "client": lambda outcome, sides, scale: client.measure_calls(outcome, sides, scale.rounds, scale.client_calls),
    "client-files": lambda outcome, sides, scale: client.measure_folder(outcome, sides, scale.file_rounds),
}


def measure(
    outcome: Outcome, parts: Sequence[str], servers: Sequence[str], kind: str, scale: Scale, folder: Path | None
) -> list[str]:
    """Measure the parts, each on servers that were just started; return what went wrong with those that failed."""

    def prepare(hub: Hub) -> None:
        reading.fill_hub(hub, scale.runs)

    problems = []
    for part in parts:
        say(f"part {part}")
        is_filled = part == "search"
        try:
            with started(kind, servers, folder if is_filled else None, prepare if is_filled else None) as sides:
                PARTS[part](outcome, sides, scale)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            problems.append(f"part {part} failed: {error}")
            say(problems[-1])
    return problems


def describe(report: Report, kind: str) -> None:
    """Add the versions of what is measured to the facts of the machine."""
    pins = (REQUIREMENTS / "requirements-mlflow.txt").read_text(encoding="utf-8")
    report.machine["mlflow"] = re.findall(r"^mlflow==(.+)$", pins, re.MULTILINE)[0]
    report.machine |= {name.lower(): version(name) for name in ("Django", "gunicorn")}
    report.machine["database"] = kind
    if kind == databases.POSTGRES:
        report.machine["postgresql"] = databases.server_facts()


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-mlflow", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when left out")
    parser.add_argument("--database", choices=databases.offered(), default=databases.SQLITE)
    parser.add_argument("--server", choices=(TRAINHUB, MLFLOW), help="only this one")
    parser.add_argument("--small", action="store_true", help="few runs and short loads: only to see it work")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="keep the filled databases there, use them again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all samples to FILE")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write. A missed aim is no error; a wrong answer is, and ends its part, but not the others."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is removed on SIGTERM too
    servers = [options.server] if options.server else [TRAINHUB, MLFLOW]
    report, outcome, problems = Report(), Outcome(), ["it was stopped"]
    describe(report, options.database)
    folder = options.data.absolute() if options.data else None
    scale = SMALL if options.small else FULL
    try:
        problems = measure(outcome, options.parts or list(PARTS), servers, options.database, scale, folder)
    finally:
        outcome.report_to(report, [f"{server}, {options.database}" for server in servers])
        print("\n".join([report.table(), *problems]))
        if options.json:
            options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
