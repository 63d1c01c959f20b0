"""Keeps web and scheduler running side by side; the standard library alone, so that it stays small.

`python -m trainhub.keeper` starts both, starts one again when it dies, and ends both on Ctrl-C or SIGTERM. Runs are
not its children: they go on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

BASE = Path(__file__).resolve().parent.parent
STOP_SECONDS = 15.0  # then SIGKILL
QUICK_DEATH_SECONDS = 5.0
MAX_QUICK_DEATHS = 5


def say(message: str) -> None:
    """Write a line for the operator to stderr, in the form of the other processes' logs (`trainhub.logs`)."""
    if os.environ.get("TRAINHUB_LOG_FORMAT") == "json":
        import json  # here alone, so that the keeper stays small

        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = {"time": now, "level": "WARNING", "logger": "trainhub.keeper", "message": message}
        message = json.dumps({**line, "process": os.getpid()})
    print(message, file=sys.stderr, flush=True)  # noqa: T201


@dataclass
class Service:
    """One process that is kept running."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    quick_deaths: int = 0
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def start(self) -> None:
        """Start it in a session of its own, so that the terminal's Ctrl-C reaches the keeper alone."""
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(self.command, cwd=BASE, env=self.environment, start_new_session=True)

    def look(self) -> bool:
        """Start it again when it died; False when it keeps dying at once and there is no point."""
        if self.process is None or self.process.poll() is None:
            return True
        lived = time.monotonic() - self.started_at
        self.quick_deaths = self.quick_deaths + 1 if lived < QUICK_DEATH_SECONDS else 0
        say(f"{self.name} ended with code {self.process.returncode}; starting it again.")
        if self.quick_deaths >= MAX_QUICK_DEATHS:
            say(f"{self.name} keeps ending at once; giving up.")
            return False
        self.start()
        return True

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait_stopped(self, deadline: float) -> None:
        """Wait for the end, then insist."""
        if self.process is None:
            return
        try:
            self.process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def services() -> list[Service]:
    """Return web and scheduler."""
    return [
        Service("web", [sys.executable, "-m", "gunicorn", "-c", str(BASE / "trainhub" / "gunicorn_conf.py")]),
        Service("scheduler", [sys.executable, str(BASE / "manage.py"), "scheduler"]),
    ]


def main() -> int:
    """Keep both running until a signal comes; returns the exit code."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    kept = services()
    for service in kept:
        service.start()
    is_well = True
    while is_well and not stop.wait(0.5):
        is_well = all(service.look() for service in kept)
    for service in kept:
        service.ask_to_stop()
    deadline = time.monotonic() + STOP_SECONDS
    for service in kept:
        service.wait_stopped(deadline)
    print("\ntrainhub has stopped. Runs go on; they are found again at the next start.", flush=True)  # noqa: T201
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
