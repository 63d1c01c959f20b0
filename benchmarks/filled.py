"""A hub's database filled to a size; what it holds is noted beside it, so that a kept one is used again."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.hub import Hub

FILL_SECONDS = 1800.0  # the most that one filler may take


def fill(hub: Hub, what: str, **arguments: Any) -> Any:
    """Fill in a process of its own; return what the filler returns. Raises: RuntimeError."""
    printed = hub.python("-m", "benchmarks.fill", what, json.dumps(arguments), seconds=FILL_SECONDS)
    return json.loads(printed)


def filled(hub: Hub, what: str, **arguments: Any) -> Any:
    """Fill unless that was done before in this data folder; return what the filler returned."""
    note = hub.data / "filled.json"
    known = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
    name = f"{what} {json.dumps(arguments, sort_keys=True)}"
    if name not in known:
        known[name] = fill(hub, what, **arguments)
        note.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return known[name]
