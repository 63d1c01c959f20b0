"""A hub of the benchmark's own: started as `make up` does it, measured from outside, and gone afterwards."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "benchmarks" / "recipes"
START_LIMIT_SECONDS = 120.0
STOP_LIMIT_SECONDS = 30.0
POLL_SECONDS = 0.005  # a start or a first line is seen at most this much too late
Found = TypeVar("Found")


def wait_for(probe: Callable[[], Found], what: str, seconds: float = 60.0) -> Found:
    """Ask `probe` until its answer is true and return it. Raises: TimeoutError naming `what`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"not seen within {seconds:.0f} s: {what}")


class Hub:
    """One installation on a fresh data folder and a free port; leaving the `with` block removes it."""

    def __init__(self) -> None:
        self.data = Path(tempfile.mkdtemp(prefix="trainhub-bench-"))
        self.port = _free_port()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._connection: http.client.HTTPConnection | None = None
        self.token = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._kill(_pids_naming(self.data))
            shutil.rmtree(self.data, ignore_errors=True)

    # --- Processes --------------------------------------------------------------------------------
    def start(self) -> float:
        """Start it; return the seconds until the first answer with status 200."""
        started = time.perf_counter()
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
            self._kill(family)
            self._keeper.wait()
        self._keeper = None
        self._close()
        return time.perf_counter() - started

    def _environment(self) -> dict[str, str]:
        """Return the caller's environment without settings of trainhub, so that the defaults are measured."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRAINHUB_")}
        kept.pop("DATABASE_URL", None)
        return kept | {
            "TRAINHUB_DATA": str(self.data),
            "TRAINHUB_PORT": str(self.port),
            "TRAINHUB_RECIPES": str(RECIPES),
        }

    def make_token(self) -> None:
        """Have a token made, as `make token` does; later calls carry it."""
        command = [sys.executable, "manage.py", "token"]
        done = subprocess.run(
            command, cwd=ROOT, env=self._environment(), capture_output=True, text=True, check=True, timeout=60
        )
        self.token = done.stdout.strip()

    def processes(self) -> list[int]:
        """Return the pids of keeper, web and scheduler; runners are not the keeper's and not counted."""
        if self._keeper is None:
            return []
        parents = _parents()
        family = [self._keeper.pid]
        for pid in family:  # grows while it is walked
            family += [child for child, parent in parents.items() if parent == pid and not _is_runner(child)]
        return family

    def memory_mb(self) -> dict[str, float]:
        """Return the proportional set size in MB (10^6 bytes) by part, and of all together."""
        parts: dict[str, float] = {}
        for pid in self.processes():
            name = _part_name(pid)
            parts[name] = parts.get(name, 0.0) + _pss_bytes(pid) / 1e6
        return {**parts, "all": sum(parts.values())}

    @staticmethod
    def _kill(pids: list[int]) -> None:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

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
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Make one request on the kept connection; return the status and the parsed answer."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = None if body is None else json.dumps(body)
        if data is not None:
            sent["Content-Type"] = "application/json"
        self._connection.request(method, path, data, {**sent, **(headers or {})})
        answer = self._connection.getresponse()
        raw = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(raw) if is_json else raw.decode(errors="replace")

    def must(self, method: str, path: str, body: Any = None) -> Any:
        """Make one request that has to succeed; return the parsed answer. Raises: RuntimeError."""
        status, answer = self.call(method, path, body)
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _read(path: str) -> str:
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _parents() -> dict[int, int]:
    """Return the parent of every process; processes that are just ending are left out."""
    found = {}
    for pid in _pids():
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if fields:
            found[pid] = int(fields[1])
    return found


def _pids_naming(folder: Path) -> list[int]:
    """Return the processes that name the folder in their command line: the runners of this hub."""
    return [pid for pid in _pids() if str(folder) in _read(f"/proc/{pid}/cmdline")]


def _is_runner(pid: int) -> bool:
    return "\0-m\0runner\0" in _read(f"/proc/{pid}/cmdline")


def _part_name(pid: int) -> str:
    command = _read(f"/proc/{pid}/cmdline")
    return "scheduler" if "scheduler" in command else "keeper" if "trainhub.keeper" in command else "web"


def _pss_bytes(pid: int) -> int:
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
