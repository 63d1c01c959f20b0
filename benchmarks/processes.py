"""What /proc tells about processes: families, memory, processor time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_ENDING_SECONDS = 10.0  # how long killed processes may take to be gone


def read(path: str) -> str:
    """Return a file of /proc as text; empty when the process is gone."""
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""


def command_line(pid: int) -> str:
    """Return the arguments of a process, with NUL between them."""
    return read(f"/proc/{pid}/cmdline")


def pids() -> list[int]:
    """Return the ids of all processes."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def naming(text: str) -> list[int]:
    """Return the processes that name `text` in their command line."""
    return [pid for pid in pids() if text in command_line(pid)]


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents = _parents()
    found = [pid]
    for one in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == one]
    return found


def _parents() -> dict[int, int]:
    """Return the parent of every process; processes that are just ending are left out."""
    found = {}
    for pid in pids():
        fields = _stat(pid)
        if fields:
            found[pid] = int(fields[1])
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name: state first, parent second."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and of its children that have ended, in seconds."""
    fields = _stat(pid)
    return sum(map(int, fields[11:15])) / _TICKS_PER_SECOND if fields else 0.0


def rss_bytes(pid: int) -> int:
    """Return the resident set size; quick, but memory shared by n processes counts n times."""
    fields = read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE_BYTES if fields else 0


def pss_bytes(pid: int) -> int:
    """Return the proportional set size: memory shared by n processes counts for a part of n."""
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def kill(found: list[int]) -> None:
    """Kill processes and wait until they are gone; those that are gone already are fine."""
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + _ENDING_SECONDS
    while any(_stat(pid)[:1] not in ([], ["Z"]) for pid in found) and time.monotonic() < deadline:
        time.sleep(0.01)
