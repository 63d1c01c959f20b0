"""Prints the tables of docs/benchmarks.md from reports: `python -m benchmarks.summary FILE.json …`.

Figures of the same server and name are taken from the last file that has them, so that parts may be measured apart.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.ingest import CPU_ALL, CPU_WEB
from benchmarks.report import short

SHOWN_PARTS = ("p50", "p99", CPU_WEB, CPU_ALL)  # of the parts of figures; the others are in the files
RATIOS = " beside the peers"

Result = dict[str, Any]


def tables(reports: Iterable[dict[str, Any]]) -> str:
    """Return the machine, a table of figures with a column for each server, and one of ratios, as Markdown."""
    found: dict[tuple[str, str], dict[str, Result]] = {}  # (name of the figure, of its part) → server → result
    machine: dict[str, Any] = {}
    for report in reports:
        machine = {**machine, **report["machine"]}
        above = ""
        for result in report["results"]:
            above = above if result["is_part"] else result["name"]
            part = result["name"] if result["is_part"] else ""
            found.setdefault((above, part), {})[result["server"]] = result
    figures = {row: by for row, by in found.items() if not _is_ratio(by) and (not row[1] or row[1] in SHOWN_PARTS)}
    ratios = {row: by for row, by in found.items() if _is_ratio(by)}
    described = ", ".join(f"{name} {value}" for name, value in machine.items())
    return "\n".join([described, "", *_table(figures, "work"), "", *_table(ratios, "times better than")])


def _is_ratio(by_server: dict[str, Result]) -> bool:
    return any(RATIOS in server for server in by_server)


def _table(rows: dict[tuple[str, str], dict[str, Result]], corner: str) -> list[str]:
    servers = list(dict.fromkeys(server for by in rows.values() for server in by))
    heads = [server.partition(RATIOS)[0] for server in servers]
    lines = [f"| {' | '.join([corner, 'aim', *heads])} |", f"| {' | '.join(['---'] * (2 + len(servers)))} |"]
    for (name, part), by in rows.items():
        aim = next((_aim(result) for result in by.values() if _aim(result)), "")
        cells = [_cell(by[server]) if server in by else "" for server in servers]
        lines.append(f"| {' | '.join([f'– {part}' if part else name, aim, *cells])} |")
    return lines


def _aim(result: Result) -> str:
    for sign, field in (("≤", "at_most"), ("≥", "at_least")):
        if result[field] is not None:
            return f"{sign} {result[field]:,g} {result['unit']}".strip()
    return ""


def _cell(result: Result) -> str:
    low, high = min(result["samples"]), max(result["samples"])
    spread = f" ({short(low)} – {short(high)})" if low != high else ""
    missed = " **missed**" if "MISSED" in result["verdict"] else ""
    return f"{short(result['median'])} {result['unit']}".strip() + spread + missed


if __name__ == "__main__":
    print(tables(json.loads(Path(file).read_text(encoding="utf-8")) for file in sys.argv[1:]))
