"""The trainer's process tree: found by parent and by the attempt's marker, killed until none is left."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

MARKER_VARIABLE: Final = "TRAINHUB_ATTEMPT"
PR_SET_CHILD_SUBREAPER: Final = 36  # prctl(2)
ROUND_SECONDS: Final = 0.25  # how long one round waits for the killed to be gone


Identity = tuple[int, int]  # pid and start time


class Process(NamedTuple):
    """A line of /proc. `start_time` in clock ticks since boot: pid and start time name a process for good."""

    pid: int
    parent: int
    state: str
    cpu_ticks: int
    start_time: int


def become_subreaper() -> None:
    """Have orphans among the descendants become children of this process instead of init's."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def read_process(pid: int) -> Process | None:
    """Return one process, None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return Process(pid, int(fields[1]), fields[0].decode(), ticks, int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None


def read_processes() -> dict[int, Process]:
    """Return every process that can be seen, by pid."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for pid in pids if (process := read_process(pid))}


def find_descendants(root: int, processes: dict[int, Process], spared: Collection[int] = ()) -> set[int]:
    """Return the pids below `root`, without it and without what hangs below a spared pid."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in found and pid not in spared:
                found.add(pid)
                waiting.append(pid)
    return found


def find_marked(marker: str, pids: Iterable[int], variable: str = MARKER_VARIABLE) -> set[int]:
    """Return those of the pids whose environment carries the marker, by default the attempt's."""
    entry = f"{variable}={marker}".encode()
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if entry in file.read().split(b"\0"):
                found.add(pid)
    return found


def find_tree(
    marker: str, spared: Collection[int] = (), known: Collection[Identity] = (), variable: str = MARKER_VARIABLE
) -> list[Process]:
    """Return the living processes of the attempt: this process's descendants, all marked ones, and the known."""
    processes = read_processes()
    pids = find_descendants(os.getpid(), processes, spared) | find_marked(marker, processes, variable)
    pids |= {process.pid for process in processes.values() if (process.pid, process.start_time) in known}
    pids -= {os.getpid(), *spared}
    return [processes[pid] for pid in pids if processes[pid].state not in "ZX"]


def kill_tree(
    marker: str,
    *,
    variable: str = MARKER_VARIABLE,
    spared: Collection[int] = (),
    unreaped: Collection[int] = (),
    known: Collection[Identity] = (),
    seconds: float = 10.0,
) -> int:
    """SIGKILL the attempt's processes, round after round. Returns how many still live after `seconds`.

    The marker is the value of `variable` in their environment. `spared` are left alone; `unreaped` are killed, but
    somebody else waits for them; `known` belong to the attempt although neither their parent nor their environment
    shows it any more.
    """
    deadline = time.monotonic() + seconds
    while victims := find_tree(marker, spared, known, variable):
        handles = [handle for victim in victims if (handle := send_signal(victim, signal.SIGKILL)) >= 0]
        _wait_for_end(handles)
        reap_orphans({*spared, *unreaped})
        if time.monotonic() >= deadline:
            return len(victims)
    return 0


def send_signal(process: Process, number: int) -> int:
    """Signal exactly this process, never another that got its pid. Returns its pidfd, -1 without one."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return -1
    except OSError:  # a kernel before 5.3
        handle = -1
    now = read_process(process.pid)
    if now and now.start_time == process.start_time:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if handle >= 0:
                signal.pidfd_send_signal(handle, number)
            else:
                os.kill(process.pid, number)
    return handle


def _wait_for_end(handles: list[int]) -> None:
    """Wait until the processes are gone or the round is over; closes the pidfds."""
    deadline = time.monotonic() + ROUND_SECONDS
    try:
        for handle in handles:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
    finally:
        for handle in handles:
            os.close(handle)
    if not handles:
        time.sleep(0.01)  # no pidfd: do not spin


def reap_orphans(spared: Collection[int] = ()) -> None:
    """Collect dead children that came here through the subreaper; the spared ones have another waiter."""
    me = os.getpid()
    for process in read_processes().values():
        if process.parent == me and process.state == "Z" and process.pid not in spared:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
