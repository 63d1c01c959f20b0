"""Batches on disk until the hub has them: one file a batch, its name the sequence, its content the request body."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runner.durable import note, write_durably

MAX_SPOOL_BYTES: Final = 10 * 1024**3  # of one stream
MAX_MEMORY_BYTES: Final = 8 * 1024**2  # of batches that the disk would not take


class Spool:
    """The queue of one stream. Any thread may use it.

    `000…12.json` waits for the hub; `000…11.sent` is the last one that the hub has, kept so that a recovery
    knows where the numbers go on.
    """

    def __init__(self, folder: Path, stored: int, *, max_bytes: int = MAX_SPOOL_BYTES) -> None:
        """`stored`: the sequence that the hub has already. Picks up what an earlier runner left."""
        self._folder, self._max_bytes = folder, max_bytes
        self._appending = threading.Lock()
        self._changed = threading.Condition()
        self._bytes = 0
        self._sizes: dict[int, int] = {}  # waiting batches, ascending
        self._memory: dict[int, bytes] = {}
        self._last = self._acknowledged = stored
        self._is_closed = False
        self._is_failing = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._pick_up()
        except OSError as error:
            note(f"the spool cannot be read: {error.strerror}")

    def _pick_up(self) -> None:
        for path in sorted(self._folder.iterdir()):
            if path.suffix == ".tmp":
                path.unlink(missing_ok=True)
            if not path.stem.isdigit():
                continue
            number = int(path.stem)
            if path.suffix == ".json":
                self._sizes[number] = path.stat().st_size
                self._bytes += self._sizes[number]
            if path.suffix in (".json", ".sent"):
                self._last = max(self._last, number)
            if path.suffix == ".sent":
                self._acknowledged = max(self._acknowledged, number)

    def append(self, make_body: Callable[[int], bytes]) -> bool:
        """Store one batch under the next number. False when there is no room: nothing was stored."""
        with self._appending:
            number = self._last + 1
            body = make_body(number)
            if self._bytes + len(body) > self._max_bytes or not self._store(number, body):
                return False
            self._last = number
            with self._changed:
                self._sizes[number] = len(body)
                self._bytes += len(body)
                self._changed.notify_all()
            return True

    def _store(self, number: int, body: bytes) -> bool:
        """Write to disk, else keep in memory. Not under `_changed`: a slow disk must not hold up the sender."""
        try:
            write_durably(self.path(number), body)
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                note(f"batch {number} could not be written: {error.strerror}")
            self._is_failing = True
            if sum(map(len, self._memory.values())) + len(body) > MAX_MEMORY_BYTES:
                return False
            self._memory[number] = body
        return True

    def path(self, number: int, suffix: str = ".json") -> Path:
        """Return where a batch lies."""
        return self._folder / f"{number:08d}{suffix}"

    def wait_next(self) -> int | None:
        """Wait for a batch and return the lowest number that waits; None once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._sizes or self._is_closed)
            return next(iter(self._sizes), None)

    def read(self, number: int) -> bytes | None:
        """Return a batch's body, None when it is not here any more."""
        with self._changed:
            if number in self._memory:
                return self._memory[number]
        try:
            return self.path(number).read_bytes() or None
        except OSError:
            return None

    def acknowledge(self, number: int) -> None:
        """The hub has this batch: forget it."""
        with self._changed:
            self._bytes -= self._sizes.pop(number, 0)
            self._memory.pop(number, None)
            with contextlib.suppress(OSError):
                self.path(number).rename(self.path(number, ".sent"))
            if number > self._acknowledged:
                with contextlib.suppress(OSError):
                    self.path(self._acknowledged, ".sent").unlink()
                self._acknowledged = number
            self._changed.notify_all()

    def replace(self, number: int, body: bytes) -> None:
        """Put a waiting batch aside as `.refused` and have a small body wait under its number."""
        with contextlib.suppress(OSError):
            self.path(number).rename(self.path(number, ".refused"))
        with contextlib.suppress(OSError):
            write_durably(self.path(number), body)
        with self._changed:
            self._memory[number] = body
            self._bytes += len(body) - self._sizes.get(number, 0)
            self._sizes[number] = len(body)

    def close(self) -> None:
        """Nothing will be appended any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def wait_empty(self, seconds: float) -> bool:
        """Wait until the hub has everything; False when that took longer than `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._sizes, seconds)
