"""A database filled to a size; what it holds is noted beside it, so that a kept one is used again."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.hub import Hub

FILL_SECONDS = 1800.0  # the most that one filler may take


def fill(hub: Hub, what: str, **arguments: Any) -> Any:
    """Fill in a process of its own; return what the filler returns. Raises: RuntimeError."""
    printed = hub.python("-m", "benchmarks.fill", what, json.dumps(arguments), seconds=FILL_SECONDS)
    return json.loads(printed)


def filled(hub: Hub, what: str, **arguments: Any) -> Any:
    """Fill unless that was done before in this data folder; return what the filler returned."""
    name = f"{what} {json.dumps(arguments, sort_keys=True)}"
    return noted(hub.data, name, lambda: fill(hub, what, **arguments))


def noted(folder: Path, name: str, make: Callable[[], Any]) -> Any:
    """Return what was noted in the folder under that name; make and note it when there is nothing."""
    note = folder / "filled.json"
    known = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
    if name not in known:
        say(f"filling: {name}")
        started = time.perf_counter()
        known[name] = make()
        note.write_text(json.dumps(known, indent=1), encoding="utf-8")
        say(f"filled within {time.perf_counter() - started:.0f} s")
    return known[name]


def say(what: str) -> None:
    """Tell whoever waits what is going on."""
    print(f"… {what}", file=sys.stderr, flush=True)
