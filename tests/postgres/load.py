"""Programs that write to a hub without a pause, keep what it acknowledged, and repeat what it did not."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from tests.end_to_end.hub import Answer, Hub, eventually

PATIENCE_SECONDS = 60.0


class Load:
    """Threads that call a hub. `acknowledged` holds what each was told is stored, `statuses` every answer's."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.acknowledged: dict[str, list[Any]] = {}
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.faults: list[str] = []

    @contextmanager
    def running(self, *writers: Callable[[], None]) -> Any:
        """Let the writers write until the block ends."""
        self._threads = [threading.Thread(target=writer, daemon=True) for writer in writers]
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(PATIENCE_SECONDS)

    def creator(self, name: str) -> Callable[[], None]:
        """Return a writer that makes projects, each with an Idempotency-Key of its own."""

        def create(number: int) -> Answer:
            key = f"{name}-{number}"
            return self._hub.call("POST", "/projects", {"name": key}, headers={"Idempotency-Key": key})

        return self._writer(name, create)

    def tracker(self, name: str, run: str) -> Callable[[], None]:
        """Return a writer that logs a point at a time to a run as an MLflow client does."""

        def log(number: int) -> Answer:
            point = {"key": name, "value": number, "timestamp": number, "step": number}
            return self._hub.call("POST", "/mlflow/api/2.0/mlflow/runs/log-batch", {"run_id": run, "metrics": [point]})

        return self._writer(name, log)

    def sender(self, name: str, token: str) -> Callable[[], None]:
        """Return a writer that sends lines as a runner does: numbered batches, each until it is acknowledged."""

        def send(number: int) -> Answer:
            lines = {"time": [number], "level": [1], "stream": [0], "text": [f"{name} {number}"]}
            return self._hub.call("POST", "/node/logs", {"sequence": number, "lines": lines}, token=token)

        return self._writer(name, send)

    def reader(self, path: str, **headers: str) -> Callable[[], None]:
        """Return a reader of a path."""
        return self._writer(path, lambda _: self._hub.call("GET", path, headers=headers))

    def _writer(self, name: str, call: Callable[[int], Answer]) -> Callable[[], None]:
        done = self.acknowledged.setdefault(name, [])

        def write() -> None:
            number = 1
            while not self._stop.is_set():
                answer = call(number)
                self._note(name, answer)
                if answer.status < 300:
                    done.append(number)
                    number += 1
                else:
                    time.sleep(0.05)

        return write

    def _note(self, name: str, answer: Answer) -> None:
        self.statuses[name, answer.status] += 1
        is_away = answer.status == 503 and answer.headers["Retry-After"]
        if answer.status >= 300 and not is_away:
            self.faults.append(f"{name}: {answer.status} {answer.body}")

    def wait_for_more(self, count: int = 3) -> float:
        """Wait until each thread got that many more good answers; return how long the first one took, in seconds."""
        before = {name: len(done) for name, done in self.acknowledged.items()}
        started = time.monotonic()

        def more() -> list[int]:
            return [len(done) - before[name] for name, done in self.acknowledged.items()]

        eventually(lambda: any(more()), "a first good answer", PATIENCE_SECONDS, 0.02)
        first = time.monotonic() - started
        eventually(lambda: min(more()) >= count, f"{count} more good answers of each", PATIENCE_SECONDS)
        return first
