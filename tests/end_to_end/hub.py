"""A real hub for tests: web server and scheduler as processes of their own, on a data folder of their own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
SERVER = os.environ.get("DATABASE_URL", "") if os.environ.get("DATABASE_URL", "").startswith("postgres") else ""
Found = TypeVar("Found")


def eventually(probe: Callable[[], Found], what: str, seconds: float = 180.0, pause: float = 0.05) -> Found:
    """Ask `probe` until its answer is true and return it; fail naming `what` when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(pause)
    raise AssertionError(f"not seen within {seconds:.0f} s: {what}")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Answer:
    """Status, parsed JSON (or text) and headers of an answer."""

    status: int
    body: Any
    headers: Any


@dataclass
class Hub:
    """One installation. `environment` adds settings; processes are started and killed one by one.

    Its database is SQLite in `data`, or one of its own on the server that DATABASE_URL names.
    """

    data: Path
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    web: subprocess.Popen[bytes] | None = None
    scheduler: subprocess.Popen[bytes] | None = None
    keeper: subprocess.Popen[bytes] | None = None
    token: str = ""
    server: str = SERVER
    database: str = ""

    def __post_init__(self) -> None:
        """Name a database of its own on the server."""
        self.database = self.database or (f"hub_{secrets.token_hex(6)}" if self.server else "")

    @property
    def database_url(self) -> str:
        """The address of its database on the server."""
        return urlunsplit(urlsplit(self.server)._replace(path=f"/{self.database}"))

    @property
    def url(self) -> str:
        """The hub's address."""
        return f"http://127.0.0.1:{self.port}"

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRAINHUB_")}
        ours = {"TRAINHUB_DATA": str(self.data), "TRAINHUB_PORT": str(self.port), "PYTHONPATH": str(ROOT)}
        kept.pop("DATABASE_URL", None)
        if self.server:
            ours["DATABASE_URL"] = self.database_url
        return {**kept, **ours, **self.environment}

    def on_server(self, statement: str, *databases: str) -> None:
        """Execute a statement about databases on the server."""
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, databases)))

    def manage(self, *arguments: str) -> str:
        """Run a management command and return what it printed."""
        done = self.try_to_manage(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_to_manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a management command that may fail."""
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(
            command, check=False, env=self._environment(), capture_output=True, text=True, timeout=300, cwd=ROOT
        )

    def prepare(self) -> Hub:
        """Make the database, the static files and a token."""
        if self.server:
            self.on_server("CREATE DATABASE {}", self.database)
        self.manage("migrate", "--verbosity", "0")
        self.manage("collectstatic", "--verbosity", "0", "--noinput")
        self.token = self.manage("token").strip()
        return self

    def copy(self, data: Path, *, with_pages: bool = False) -> Hub:
        """Return another hub that begins where this one stands, which was never started; quicker than preparing it.

        `with_pages`: also with the static files, without which pages fail; the API does not need them.
        """
        left_out = () if with_pages else ("static",)
        shutil.copytree(self.data, data, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*left_out))
        other = Hub(data=data, environment=dict(self.environment), token=self.token, server=self.server)
        if self.server:
            self.on_server("CREATE DATABASE {} TEMPLATE {}", other.database, self.database)
        return other

    def start(self) -> Hub:
        """Start web and scheduler and wait until the hub answers."""
        self.start_web()
        self.start_scheduler()
        return self

    def _spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.data / f"{name}.log").open("ab")
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=self._environment(),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def start_web(self) -> None:
        """Start the web server and wait for its first answer."""
        self.web = self._spawn("web", "-m", "gunicorn", "-c", str(ROOT / "trainhub" / "gunicorn_conf.py"))
        eventually(self.is_up, "the hub's first answer", 120)

    def start_scheduler(self) -> None:
        """Start the scheduler."""
        self.scheduler = self._spawn("scheduler", str(ROOT / "manage.py"), "scheduler")

    def start_keeper(self) -> None:
        """Start web and scheduler as `make up` does once all is prepared, and wait for the first answer."""
        self.spawn_keeper()
        eventually(self.is_up, "the hub's first answer", 120)

    def spawn_keeper(self) -> subprocess.Popen[bytes]:
        """Start web and scheduler as `make up` does, and wait for nothing."""
        self.keeper = self._spawn("keeper", "-S", "-m", "trainhub.keeper")
        return self.keeper

    def kept(self, program: str) -> list[int]:
        """Return the pids of the keeper's children whose command line holds `program`."""
        assert self.keeper
        return [pid for pid in _pids() if _parent(pid) == self.keeper.pid and program in _cmdline(pid)]

    def server_pids(self) -> list[int]:
        """Return the pids of all web and scheduler processes of this hub, whoever started them."""
        marker = f"TRAINHUB_DATA={self.data}\0"
        return [pid for pid in _pids() if marker in _environ(pid) and is_alive(pid)]

    def kill_web(self) -> None:
        """kill -9 of the web server's master and workers."""
        self.web = _kill_group(self.web)

    def kill_scheduler(self) -> None:
        """kill -9 of the scheduler."""
        self.scheduler = _kill_group(self.scheduler)

    def stop(self) -> None:
        """End everything, runners and trainers included."""
        self.kill_scheduler()
        self.kill_web()
        _kill_group(self.keeper)
        eventually(self._kill_all, "the end of all processes of the hub", 20)
        if self.server:
            self.on_server("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database)

    def _kill_all(self) -> bool:
        left = [*self.server_pids(), *self.processes()]
        for pid in left:
            kill(pid)
        return not left

    def live_runs(self) -> set[str]:
        """Return the paths of all runs that the hub executes and that have not ended."""
        found = self.call("GET", "/runs?status=queued&status=starting&status=running&page_size=200").body["items"]
        return {f"/projects/{run['project_id']}/runs/{run['id']}" for run in found if run["executor"]}

    def runner_pids(self) -> list[int]:
        """Return the pids of living runners of this hub."""
        return [pid for pid in _pids() if "-m\0runner\0" in _cmdline(pid) and f"{self.data}/" in _cmdline(pid)]

    def trainer_pids(self, attempt: str = "") -> list[int]:
        """Return the pids that carry the marker of one of this hub's attempts in their environment."""
        names = [attempt] if attempt else [folder.name for folder in (self.data / "attempts").iterdir()]
        markers = [f"TRAINHUB_ATTEMPT={name}\0" for name in names]
        return [pid for pid in _pids() if (own := _environ(pid)) and any(marker in own for marker in markers)]

    def processes(self) -> list[int]:
        """Return the pids of runners and everything that trainers started, daemons without environment included."""
        named = [pid for pid in _pids() if f"{self.data}/attempts/" in _cmdline(pid)]
        return sorted({*self.runner_pids(), *self.trainer_pids(), *named})

    def is_up(self) -> bool:
        """Tell whether the hub answers."""
        try:
            return self.call("GET", "/health").status == 200
        except OSError:
            return False

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        token: str | None = None,
    ) -> Answer:
        """Make one request with the operator's token."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Accept", "application/json")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        bearer = self.token if token is None else token
        if bearer:
            request.add_header("Authorization", f"Bearer {bearer}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=90) as response:
                return Answer(response.status, _parse(response.read()), response.headers)
        except urllib.error.HTTPError as error:
            return Answer(error.code, _parse(error.read()), error.headers)

    def new_project(self, **values: Any) -> dict[str, Any]:
        """Create a project."""
        answer = self.call("POST", "/projects", {"name": "end to end", **values})
        assert answer.status == 201, answer.body
        return answer.body

    def new_run(self, project: dict[str, Any], **values: Any) -> str:
        """Launch a run and return its path."""
        answer = self.call("POST", f"/projects/{project['id']}/runs", {"name": "run", **values})
        assert answer.status == 201, answer.body
        return f"/projects/{project['id']}/runs/{answer.body['id']}"

    def run(self, path: str) -> dict[str, Any]:
        """Return a run."""
        answer = self.call("GET", path)
        assert answer.status == 200, answer.body
        return answer.body

    def wait_for_status(self, path: str, *statuses: str, seconds: float = 180.0) -> dict[str, Any]:
        """Wait until the run has one of the statuses and return it."""
        return eventually(
            lambda: (run := self.run(path))["status"] in statuses and run, f"{path} {' or '.join(statuses)}", seconds
        )

    def wait_for_checkpoint(self, path: str, seconds: float = 180.0) -> dict[str, Any]:
        """Wait for the run's first checkpoint and return it."""

        def first() -> Any:
            items = self.call("GET", f"{path}/artifacts?type=checkpoint").body["items"]
            return items and items[0]

        return eventually(first, "a checkpoint", seconds)

    def wait_for_line(self, path: str, text: str, seconds: float = 180.0) -> dict[str, Any]:
        """Wait for a log line that contains the text and return it."""

        def first() -> Any:
            items = self.call("GET", f"{path}/logs?contains={quote(text)}").body["items"]
            return items and items[0]

        return eventually(first, f"a log line with {text!r}", seconds)

    def wait_for_step(self, path: str, step: int, seconds: float = 180.0) -> None:
        """Wait until the run has reported the step or a later one."""

        def is_reached() -> bool:
            series = self.call("GET", f"{path}/metrics?key=loss&points=10").body["series"]
            return bool(series) and series["loss"]["step"][-1:] >= [step]

        eventually(is_reached, f"step {step} of {path}", seconds)

    def messages(self, path: str, stream: str = "stdout") -> list[str]:
        """Return the texts of one stream; fails when line numbers have gaps or come twice."""
        lines = self.all_log_lines(path)
        assert [line["line"] for line in lines] == list(range(len(lines)))
        return [line["message"] for line in lines if line["stream"] == stream]

    def events(self, path: str) -> list[str]:
        """Return the kinds of the run's events in order."""
        return [event["kind"] for event in self.call("GET", f"{path}/events?page_size=100").body["items"]]

    def folder_of(self, path: str) -> Path:
        """Return the folder of the run's newest attempt."""
        return self.data / "attempts" / str(self.attempt_of(path)["id"])

    def all_log_lines(self, path: str) -> list[dict[str, Any]]:
        """Return the whole log."""
        lines: list[dict[str, Any]] = []
        while True:
            answer = self.call("GET", f"{path}/logs/follow?after={len(lines)}&limit=1000").body
            lines += answer["items"]
            if not answer["items"]:
                return lines

    def series(self, path: str, key: str, **query: Any) -> dict[str, Any]:
        """Return one metric with all its points."""
        rest = "".join(f"&{name}={value}" for name, value in query.items())
        return self.call("GET", f"{path}/metrics?key={key}&points=10000{rest}").body["series"][key]

    def attempt_of(self, path: str) -> dict[str, Any]:
        """Return the run's newest attempt."""
        return self.call("GET", f"{path}/attempts").body[-1]


def _parse(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw.decode(errors="replace")


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Signal a process; gone is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    return _stat(pid)[:1] not in ([], ["Z"], ["X"])


def _parent(pid: int) -> int:
    return int((_stat(pid) or ["", "0"])[1])


def _stat(pid: int) -> list[str]:
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _kill_group(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _cmdline(pid: int) -> str:
    return _read(f"/proc/{pid}/cmdline")


def _environ(pid: int) -> str:
    return _read(f"/proc/{pid}/environ")


def _read(path: str) -> str:
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""
