"""The kernel's counter of processes that it killed for lack of memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")


def count_oom_kills() -> int | None:
    """Return how often the kernel's out-of-memory killer has struck here; None when it does not tell.

    Read from the runner's control group (version 2, else version 1), else from the whole machine.
    Source: Linux, Documentation/admin-guide/cgroup-v2.rst (memory.events) and cgroup-v1/memory.rst.
    """
    for path in _counters():
        try:
            words = path.read_text().split()
            return int(words[words.index("oom_kill") + 1])
        except (OSError, ValueError, IndexError):
            continue
    return None


def _counters() -> Iterator[Path]:
    for line in _read_memberships():
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            yield CGROUPS / name.lstrip("/") / "memory.events"
            yield CGROUPS / "unified" / name.lstrip("/") / "memory.events"
        elif "memory" in controllers.split(","):
            yield CGROUPS / "memory" / name.lstrip("/") / "memory.oom_control"
            yield CGROUPS / "memory" / "memory.oom_control"  # in a container the path is another
    yield Path("/proc/vmstat")


def _read_memberships() -> list[str]:
    try:
        return [line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.count(":") >= 2]
    except OSError:
        return []
