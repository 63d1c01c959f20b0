"""The two servers that speak the protocol, and what one asks of either of them."""

from __future__ import annotations

import http.client
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.filled import say
from benchmarks.hub import Hub
from benchmarks.load import Load, Sender
from benchmarks.peers.mlflow import Mlflow

TRAINHUB, MLFLOW = "trainhub", "MLflow"
ANSWER_SECONDS = 120.0  # the longest that one request may take
IDLE_CORES, IDLE_SECONDS = 0.1, 30.0
_PAUSE_SECONDS = 0.5


class ProxiedMlflow(Mlflow):
    """MLflow's server as its documentation starts it for artifacts through the server: without a root of its own."""

    def command(self) -> list[str]:
        """Return what starts the server; files lie in `mlartifacts` in its folder, which is the default."""
        command = super().command()
        root = command.index("--default-artifact-root")
        return command[:root] + command[root + 2 :]


class Tracker:
    """One server of the two, started: where its protocol begins, and who asks."""

    def __init__(self, host: Hub | Mlflow) -> None:
        self.host = host
        is_hub = isinstance(host, Hub)
        self.server = f"{TRAINHUB if is_hub else MLFLOW}, {host.database.kind}"
        self.port = host.port
        self.root = "/mlflow" if is_hub else ""
        self.token = host.token if isinstance(host, Hub) else ""

    @property
    def uri(self) -> str:
        """What MLFLOW_TRACKING_URI is set to."""
        return f"http://127.0.0.1:{self.port}{self.root}"

    def path(self, route: str) -> str:
        """Return the path of an endpoint below `mlflow/`."""
        return f"{self.root}/api/2.0/mlflow/{route}"

    def must(self, method: str, route: str, body: Any = None) -> Any:
        """Make one request that has to succeed; return the parsed answer. Raises: RuntimeError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, self.path(route), None if body is None else json.dumps(body), self.headers())
            answer = connection.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise RuntimeError(f"{self.server}: {method} {route}: {error}") from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{self.server}: {method} {route}: {answer.status} {raw[:500]!r}")
        return json.loads(raw)

    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {"Content-Type": "application/json", **bearer}

    def new_experiment(self, name: str) -> str:
        """Make an experiment whose name begins so; return its id."""
        name = f"{name} {secrets.token_hex(4)}"
        return str(self.must("POST", "experiments/create", {"name": name})["experiment_id"])

    def new_run(self, experiment: str) -> dict[str, Any]:
        """Make a run; return its info."""
        made = self.must("POST", "runs/create", {"experiment_id": experiment, "start_time": 1_764_000_000_000})
        info: dict[str, Any] = made["run"]["info"]
        return info

    def load(self, route: str, runs: Sequence[str], seconds: float, **more: Any) -> Load:
        """Return a load on one endpoint, with a connection for each of `runs`."""
        senders = [Sender(token=self.token, run=run) for run in runs]
        return Load(self.port, self.path(route), senders, seconds, **more)

    def web_processes(self) -> list[int]:
        """Return the pids of what answers requests."""
        return self.host.web_processes()

    def wait_until_idle(self) -> None:
        """Wait until the server has done what it deferred, but not for ever."""
        deadline = time.monotonic() + IDLE_SECONDS
        before = sum(self.host.cpu_seconds().values())
        while time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
            now = sum(self.host.cpu_seconds().values())
            if now - before < IDLE_CORES * _PAUSE_SECONDS:
                return
            before = now


@contextmanager
def started(
    kind: str, servers: Sequence[str], folder: Path | None = None, prepare: Callable[[Hub], object] | None = None
) -> Iterator[list[Tracker]]:
    """Both servers, or one, started fresh on a database of a kind.

    In `folder` what was filled there before is kept. `prepare` fills the hub before it starts: its scheduler would
    only get in the way.
    """
    with ExitStack() as stack:
        trackers = []
        for name in servers:
            place = folder / f"{name.lower()}-{kind.lower()}" if folder else None
            host = stack.enter_context(Hub(kind, place) if name == TRAINHUB else ProxiedMlflow(kind, place))
            if isinstance(host, Hub) and prepare:
                host.prepare()
                prepare(host)
            say(f"starting {name}, {kind}")
            host.start()
            if isinstance(host, Hub):
                host.make_token()
                host.cancel_all()
            trackers.append(Tracker(host))
        for tracker in trackers:
            tracker.wait_until_idle()  # MLflow answers before all of its processes have started
        yield trackers
