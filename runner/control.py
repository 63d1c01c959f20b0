"""What the threads of one runner tell each other: stop, fenced, and where the attempt is."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from typing import Literal

Phase = Literal["preparing", "training", "stopping", "finishing"]


class Control:
    """Orders and state of one attempt. The main thread waits here for anything to happen."""

    def __init__(self) -> None:
        self.phase: Phase = "preparing"
        self.is_stopping = False
        self.grace_seconds: float | None = None  # None: as the claim says
        self.fenced = threading.Event()
        self.beat_now = threading.Event()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT mean stop; signals that engines send as warnings are ignored."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        self._ignore_warnings()

    def ignore_signals(self) -> None:
        """Orders come another way; what an engine sends to all processes is not for this one."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        self._ignore_warnings()

    @staticmethod
    def _ignore_warnings() -> None:
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)

    def stop(self, grace_seconds: float | None = None) -> None:
        """Ask for the trainer's end. Takes no lock, because it also runs inside a signal handler."""
        if not self.is_stopping:
            self.grace_seconds = grace_seconds
            self.is_stopping = True
        self.wake()

    def fence(self) -> None:
        """The hub no longer wants this attempt."""
        self.fenced.set()
        self.wake()

    def enter(self, phase: Phase) -> None:
        """Note the phase and tell the hub with a heartbeat at once."""
        self.phase = phase
        self.beat_now.set()

    def wake(self) -> None:
        """Let `wait` return."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._wake, 1)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until somebody wakes the main thread, at most `seconds` (None: without limit)."""
        select.select([self._wake], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
