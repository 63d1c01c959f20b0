"""A peer's server: started, measured from outside, and gone afterwards."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks import processes
from benchmarks.databases import SQLITE, Database
from benchmarks.hub import free_port, wait_for

START_LIMIT_SECONDS = 120.0
ANSWER_SECONDS = 180.0


class PeerServer:
    """One server on a free port; leaving the `with` block ends it and, unless a folder was given, removes its data."""

    name = ""
    ready_path = ""

    def __init__(self, kind: str = SQLITE, folder: Path | None = None) -> None:
        self.is_kept = folder is not None
        self.data = folder or Path(tempfile.mkdtemp(prefix="trainhub-bench-peer-"))
        self.data.mkdir(parents=True, exist_ok=True)
        self.database = Database.of(kind, self.data, "peer.sqlite3")
        self.server = f"{self.name}, {kind}"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Return what starts the server."""
        raise NotImplementedError

    def settings(self) -> dict[str, str]:
        """Return the environment variables that it needs."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            if not self.is_kept:
                shutil.rmtree(self.data, ignore_errors=True)
                self.database.drop()

    def start(self) -> float:
        """Start it; return the seconds until the first answer with status 200."""
        self.database.create()
        command, started = self.command(), time.perf_counter()
        with (self.data / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.data,
                env={**os.environ, **self.settings()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers, f"the first answer of {self.name}", START_LIMIT_SECONDS)
        return time.perf_counter() - started

    def stop(self) -> None:
        """End the server and all that it started; nothing of it is worth waiting for."""
        if self._process is not None:
            processes.kill(processes.family(self._process.pid))
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            log = (self.data / "server.log").read_text(errors="replace")
            raise RuntimeError(f"{self.name} ended: {log[-2000:]}")
        try:
            return self._ask("GET", self.ready_path, None)[0] == http.client.OK
        except OSError:
            return False

    def _ask(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            headers = {"Content-Type": "application/json", **self.headers()}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def headers(self) -> dict[str, str]:
        """Return the headers that writing needs."""
        return {}

    def must(self, method: str, path: str, body: Any = None) -> Any:
        """Make one request that has to succeed; return the parsed answer. Raises: RuntimeError."""
        status, raw = self._ask(method, path, body)
        if status != http.client.OK:
            raise RuntimeError(f"{self.name}: {method} {path}: {status} {raw[:500]!r}")
        return json.loads(raw)

    def web_processes(self) -> list[int]:
        """Return the pids of the server and of all that it started."""
        return processes.family(self._process.pid) if self._process else []

    def memory_mb(self) -> float:
        """Return the proportional set size of all its processes in MB."""
        return sum(map(processes.pss_bytes, self.web_processes())) / 1e6

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time used so far, by its processes and by the database server's."""
        own = sum(map(processes.cpu_seconds, self.web_processes()))
        return {"web": own, "database": self.database.cpu_seconds()}
