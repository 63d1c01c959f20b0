"""CPU, memory and GPU use of the trainer's tree every few seconds, as metrics."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runner.durable import read_record, write_record
from runner.folder import read_boot_id
from runner.gpus import GpuReader
from runner.processes import Identity, find_descendants, read_processes, reap_orphans

SAMPLE_SECONDS: Final = 5.0
FIRST_SAMPLE_SECONDS: Final = 1.0  # soon, so that a page shows something


class Sampler:
    """The loop that samples until `end`. Failures leave a sample out, nothing more."""

    def __init__(
        self,
        report: Callable[[int, dict[str, float]], None],
        trainer_pid: int,
        gpus: GpuReader,
        record: Path | None = None,
    ) -> None:
        """`report` takes the number of a sample, from 1, and its metrics.

        `record`: where the tree is noted, for a recovery that has to kill it without its parent's help.
        """
        self._report, self._trainer_pid, self._gpus, self._record = report, trainer_pid, gpus, record
        self._ended = threading.Event()
        self._step = 0
        self._ticks: dict[tuple[int, int], int] = {}  # CPU time by (pid, start time), in clock ticks
        self._sampled_at = time.monotonic()

    def run(self) -> None:
        """Sample until `end`."""
        wait = FIRST_SAMPLE_SECONDS
        while not self._ended.wait(wait):
            wait = SAMPLE_SECONDS
            values = self._sample_tree() | self._gpus.read()
            if self._ended.is_set():
                return
            self._step += 1
            self._report(self._step, values)
            reap_orphans(self.spared)

    def end(self) -> None:
        """Take no more samples."""
        self._ended.set()

    @property
    def spared(self) -> tuple[int, ...]:
        """Children of the runner that have a waiter of their own."""
        helper = self._gpus.pid
        return (self._trainer_pid,) if helper is None else (self._trainer_pid, helper)

    def _note_tree(self, processes: list[Identity]) -> None:
        if self._record is None:
            return
        with contextlib.suppress(OSError):
            write_record(self._record, {"boot_id": read_boot_id(), "processes": processes})

    def _sample_tree(self) -> dict[str, float]:
        processes = read_processes()
        helper = self._gpus.pid
        tree = find_descendants(os.getpid(), processes, () if helper is None else (helper,))
        ticks = {(pid, processes[pid].start_time): processes[pid].cpu_ticks for pid in tree}
        used = sum(now - self._ticks.get(process, 0) for process, now in ticks.items())
        now = time.monotonic()
        if ticks.keys() != self._ticks.keys():
            self._note_tree(list(ticks))
        seconds, self._sampled_at, self._ticks = now - self._sampled_at, now, ticks
        cores = used / os.sysconf("SC_CLK_TCK") / max(seconds, 0.001)
        return {
            "system/cpu_utilization": min(cores / len(os.sched_getaffinity(0)), 1.0),
            "system/memory_bytes": float(sum(map(_resident_bytes, tree))),
        }


def read_tree(record: Path) -> set[Identity]:
    """Return the tree that a sampler noted since the machine was booted; empty when there is none."""
    noted = read_record(record) or {}
    if noted.get("boot_id") != read_boot_id():
        return set()
    return {(pid, start_time) for pid, start_time in noted["processes"]}


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
