"""Threads that survive their own mistakes."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Final

from runner.durable import note

PAUSE_SECONDS: Final = 1.0  # before a failed thread goes on


def start_thread(name: str, work: Callable[[], object]) -> threading.Thread:
    """Run `work` in a daemon thread; an unexpected exception is noted and the work started again."""
    thread = threading.Thread(target=_keep_working, args=(name, work), name=name, daemon=True)
    thread.start()
    return thread


def _keep_working(name: str, work: Callable[[], object]) -> None:
    while True:
        try:
            work()
            return
        except Exception:  # noqa: BLE001  nothing may end a thread that the attempt needs
            note(f"thread {name} failed and goes on:\n{traceback.format_exc()}")
            threading.Event().wait(PAUSE_SECONDS)
