"""A hub of the benchmark's own: started as `make up` does it, measured from outside, and gone afterwards."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from benchmarks import processes
from benchmarks.databases import SQLITE, Database

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "benchmarks" / "recipes"
START_LIMIT_SECONDS = 120.0
STOP_LIMIT_SECONDS = 30.0
IDLE_LIMIT_SECONDS = 30.0  # then a connection is made anew; the server closes idle ones after 75 s
BUSY_WAIT_SECONDS, BUSY_LIMIT_SECONDS = 0.5, 30.0  # after a 503
POLL_SECONDS = 0.005  # a start or a first line is seen at most this much too late
Found = TypeVar("Found")


def wait_for(probe: Callable[[], Found], what: str, seconds: float = 300.0, pause: float = POLL_SECONDS) -> Found:
    """Ask `probe` until its answer is true and return it. Raises: TimeoutError naming `what`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(pause)
    raise TimeoutError(f"not seen within {seconds:.0f} s: {what}")


class Hub:
    """One installation on a free port; leaving the `with` block stops it.

    Without a folder it lives in a fresh one, and is removed with its database at the end. `kind` is the database's,
    `settings` are variables beside the defaults.
    """

    def __init__(
        self, kind: str = SQLITE, folder: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self._settings = dict(settings or {})
        self.is_kept = folder is not None
        self.data = folder or Path(tempfile.mkdtemp(prefix="trainhub-bench-"))
        self.data.mkdir(parents=True, exist_ok=True)
        self.database = Database.of(kind, self.data, "trainhub.sqlite3")
        self.port = free_port()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._called_at = 0.0
        self.token = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            processes.kill(processes.naming(str(self.data)))
            if not self.is_kept:
                shutil.rmtree(self.data, ignore_errors=True)
                self.database.drop()

    # --- Processes --------------------------------------------------------------------------------
    def start(self) -> float:
        """Start it; return the seconds until the first answer with status 200."""
        started = time.perf_counter()
        self.database.create()
        with (self.data / "hub.log").open("ab") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers, "the first answer", START_LIMIT_SECONDS)
        return time.perf_counter() - started

    def stop(self) -> float:
        """Stop web and scheduler as Ctrl-C does; return the seconds it took. Runs go on."""
        if self._keeper is None:
            return 0.0
        started, family = time.perf_counter(), self.processes()
        self._keeper.terminate()
        try:
            self._keeper.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            processes.kill(family)
            self._keeper.wait()
        self._keeper = None
        self._close()
        return time.perf_counter() - started

    def _environment(self) -> dict[str, str]:
        """Return the caller's environment without settings of trainhub, so that the defaults are measured."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRAINHUB_")}
        kept.pop("DATABASE_URL", None)
        named = {"DATABASE_URL": self.database.url} if self.database.name else {}
        return kept | {
            **named,
            "TRAINHUB_DATA": str(self.data),
            "TRAINHUB_PORT": str(self.port),
            "TRAINHUB_RECIPES": str(RECIPES),
            **self._settings,
        }

    def prepare(self) -> None:
        """Make the database and its tables, so that it can be filled before the start."""
        self.database.create()
        self.python("manage.py", "migrate", "--verbosity", "0")

    def python(self, *arguments: str, seconds: float = 300) -> str:
        """Run Python as this hub would, for at most so many seconds; return what it printed. Raises: RuntimeError."""
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command,
            check=False,
            cwd=ROOT,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout

    def make_token(self) -> None:
        """Have a token made, as `make token` does; later calls carry it."""
        self.token = self.python("manage.py", "token").strip()

    def processes(self) -> list[int]:
        """Return the pids of keeper, web and scheduler; runners are not the keeper's and not counted."""
        if self._keeper is None:
            return []
        runners = {pid for runner in processes.naming("\0-m\0runner\0") for pid in processes.family(runner)}
        return [pid for pid in processes.family(self._keeper.pid) if pid not in runners]

    def web_processes(self) -> list[int]:
        """Return the pids of what answers requests."""
        return [pid for pid in self.processes() if _part_name(pid) == "web"]

    def memory_mb(self) -> dict[str, float]:
        """Return the proportional set size in MB (10^6 bytes) by part, and of all together."""
        parts: dict[str, float] = {}
        for pid in self.processes():
            name = _part_name(pid)
            parts[name] = parts.get(name, 0.0) + processes.pss_bytes(pid) / 1e6
        return {**parts, "all": sum(parts.values())}

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time used so far by part: web, scheduler, keeper, and the database server's."""
        parts = {"database": self.database.cpu_seconds()}
        for pid in self.processes():
            name = _part_name(pid)
            parts[name] = parts.get(name, 0.0) + processes.cpu_seconds(pid)
        return parts

    # --- Requests ---------------------------------------------------------------------------------
    def _answers(self) -> bool:
        if self._keeper is not None and self._keeper.poll() is not None:
            raise RuntimeError(f"the hub ended: {(self.data / 'hub.log').read_text(errors='replace')[-2000:]}")
        try:
            return self.call("GET", "/health")[0] == http.client.OK
        except OSError:
            self._close()
            return False

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> tuple[int, Any]:
        """Make one request on the kept connection; return the status and the parsed answer."""
        if time.monotonic() - self._called_at > IDLE_LIMIT_SECONDS:
            self._close()
        self._called_at = time.monotonic()
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        bearer = self.token if token is None else token
        sent = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        data = None if body is None else json.dumps(body)
        if data is not None:
            sent["Content-Type"] = "application/json"
        self._connection.request(method, path, data, {**sent, **(headers or {})})
        answer = self._connection.getresponse()
        raw = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(raw) if is_json else raw.decode(errors="replace")

    def must(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        """Make a request that has to succeed, again while the hub is busy; return its answer. Raises: RuntimeError."""
        deadline = time.monotonic() + BUSY_LIMIT_SECONDS
        status, answer = self.call(method, path, body, token=token)
        while status == http.client.SERVICE_UNAVAILABLE and time.monotonic() < deadline:
            time.sleep(BUSY_WAIT_SECONDS)
            status, answer = self.call(method, path, body, token=token)
        if status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{method} {path}: {status} {answer}")
        return answer

    def launch(self, project: str, **values: Any) -> str:
        """Launch a run; return its path."""
        run = self.must("POST", f"/projects/{project}/runs", {"name": "benchmark", **values})
        return f"/projects/{project}/runs/{run['id']}"

    def cancel_all(self) -> None:
        """Cancel every run that has not ended, and wait for the end."""
        statuses = "&".join(f"status={status}" for status in ("queued", "starting", "running", "cancelling"))
        for run in self.must("GET", f"/runs?{statuses}")["items"]:
            self.must("POST", f"/projects/{run['project_id']}/runs/{run['id']}/cancel")


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _part_name(pid: int) -> str:
    command = processes.command_line(pid)
    return "scheduler" if "scheduler" in command else "keeper" if "trainhub.keeper" in command else "web"
