"""How much the memory of some processes grows while something happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from benchmarks import processes

PAUSE_SECONDS = 0.05


class Growth:
    """The resident memory of processes together, in MB, before and at its highest."""

    def __init__(self, pids: Callable[[], Sequence[int]]) -> None:
        self._pids = pids
        self.before_mb = self._now()
        self.highest_mb = self.before_mb

    @property
    def grown_mb(self) -> float:
        """How far it was above the beginning."""
        return self.highest_mb - self.before_mb

    def look(self) -> None:
        """Note how it is now."""
        self.highest_mb = max(self.highest_mb, self._now())

    def _now(self) -> float:
        return sum(map(processes.rss_bytes, self._pids())) / 1e6


@contextmanager
def watched(pids: Callable[[], Sequence[int]]) -> Iterator[Growth]:
    """Look at the memory of processes every 50 ms until the block ends."""
    growth, over = Growth(pids), threading.Event()

    def watch() -> None:
        while not over.wait(PAUSE_SECONDS):
            growth.look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield growth
    finally:
        over.set()
        watcher.join()
        growth.look()
