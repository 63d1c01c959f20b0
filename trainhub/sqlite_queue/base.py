"""Django's SQLite backend with a queue before its write transactions.

SQLite lets waiting writers poll with growing pauses: with eight writers some wait half a second while others pass
them. Here the threads of a process queue at a lock, and the processes at a file lock that they try five
times a millisecond; a wait is bounded by the connection's `timeout` and then is the same "database is locked" error.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

_POLL_SECONDS = 0.0002
_locks_guard = threading.Lock()
_thread_locks: dict[str, threading.Lock] = {}


def _thread_lock(path: str) -> threading.Lock:
    with _locks_guard:
        return _thread_locks.setdefault(path, threading.Lock())


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose `atomic` blocks wait their turn to write."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turn: tuple[threading.Lock, int] | None = None

    def _start_transaction_under_autocommit(self) -> None:
        self._wait_for_turn()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._end_turn()
            raise

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
        finally:
            if not self._in_sqlite_transaction():
                self._end_turn()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _in_sqlite_transaction(self) -> bool:
        return bool(self.connection is not None and self.connection.in_transaction)

    def _wait_for_turn(self) -> None:
        if self._turn is not None or self.is_in_memory_db():
            return
        path = str(self.settings_dict["NAME"]) + ".queue"
        deadline = time.monotonic() + float(self.settings_dict["OPTIONS"].get("timeout", 5))
        lock = _thread_lock(path)
        if not lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise OperationalError("database is locked")
        try:
            self._turn = (lock, _lock_file(path, deadline))
        except BaseException:
            lock.release()
            raise

    def _end_turn(self) -> None:
        if self._turn is None:
            return
        lock, descriptor = self._turn
        self._turn = None
        os.close(descriptor)  # gives the file lock back
        lock.release()


def _lock_file(path: str, deadline: float) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise OperationalError("database is locked") from None
            time.sleep(_POLL_SECONDS)
        else:
            return descriptor
