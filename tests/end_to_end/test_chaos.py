"""Scheduler, web, database and Slurm's controller are killed in turn while runs go on, on this machine and in Slurm.

Afterwards nothing was started twice, nothing that was acknowledged is lost, and every run has ended for the right
reason. `TRAINHUB_CHAOS_SECONDS` and `TRAINHUB_CHAOS_RUNS` make it longer (`make chaos`: five minutes, 20 runs).
"""

from __future__ import annotations

import http.client
import itertools
import os
import shutil
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import SETTINGS
from tests.end_to_end.fates import FATES, Fate, Story
from tests.end_to_end.hub import Answer, Hub, eventually
from tests.engines.postgres import Postgres, need_postgres
from tests.engines.slurm import Cluster

SECONDS = float(os.environ.get("TRAINHUB_CHAOS_SECONDS", "30"))
RUNS = int(os.environ.get("TRAINHUB_CHAOS_RUNS", "8"))
PACE = 0.25  # seconds between two steps of a trainer
AWAY_SECONDS, BETWEEN_SECONDS = 1.5, 3.0
SPARE_RESTARTS = 3  # for jobs that Slurm itself loses
EXECUTORS = """
[executors.local]
kind = "local"
slots = {slots}
gpus = 0

[executors.cluster]
kind = "slurm"
nodes = 1
gpus = 0
folder = "{folder}"
slurm_conf = "{configuration}"
python = "{python}"
slots = {slots}
poll_seconds = 1
"""


@pytest.fixture
def database() -> Iterator[Postgres]:
    need_postgres()
    server = Postgres()
    yield server.start()
    server.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    settings = {"SLURM_CPUS": str(max(4, RUNS)), "SLURM_GPUS": "0"}
    one = Cluster(tmp_path / "slurm", nodes=2, settings=settings)
    yield one.start()
    one.stop()


@pytest.fixture
def hub(tmp_path: Path, database: Postgres, cluster: Cluster) -> Iterator[Hub]:
    one = Hub(data=tmp_path / "hub", environment={**SETTINGS, "DATABASE_URL": database.url}, database="")
    jobs = one.data / "slurm"
    jobs.mkdir(parents=True)
    (one.data / "executors.toml").write_text(
        EXECUTORS.format(slots=RUNS, folder=jobs, configuration=cluster.conf, python=shutil.which("python3"))
    )
    one.manage("migrate", "--verbosity", "0")
    one.token = one.manage("token").strip()
    yield one.start()
    one.stop()


class Client:
    """Asks until it gets an answer; every status that it saw is counted."""

    def __init__(self, hub: Hub) -> None:
        self._hub, self.statuses = hub, Counter[int]()

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> Answer:
        """Return the first answer that is not "come back later"; what may have been lost on the way is asked again."""
        headers = {"Prefer": "wait=0", **({"Idempotency-Key": key} if key else {})}
        for _ in range(600):
            try:
                answer = self._hub.call(method, path, body, headers=headers)
            except (OSError, http.client.HTTPException, urllib.error.URLError):
                time.sleep(0.2)
                continue
            self.statuses[answer.status] += 1
            if answer.status != 503:
                return answer
            time.sleep(0.2)
        raise AssertionError(f"no answer to {method} {path}")


def accidents(hub: Hub, database: Postgres, cluster: Cluster) -> Iterator[tuple[Callable[[], object], ...]]:
    """Yield forever what is killed next, and how it comes back."""
    yield from itertools.cycle(
        [
            (hub.kill_scheduler, hub.start_scheduler),
            (hub.kill_web, hub.start_web),
            (lambda: database.stop("immediate"), database.start),
            (cluster.kill_controller, cluster.start_controller),
        ]
    )


def launch(client: Client, project: str, number: int) -> tuple[str, Fate]:
    """Launch a run, half of them in Slurm, with a fate of its own."""
    fate = FATES[number // 2 % len(FATES)]
    request = {
        "name": f"{fate.name} {number}",
        "recipe": "journal",
        "executor": "cluster" if number % 2 else "local",
        "max_restarts": fate.deaths + SPARE_RESTARTS,
        "model_parameters": {"pace": PACE, **fate.values(int(SECONDS / PACE))},
    }
    answer = client.ask("POST", f"/projects/{project}/runs", request, key=f"launch-{number}")
    assert answer.status == 201, answer.body
    return f"/projects/{project}/runs/{answer.body['id']}", fate


class Editor(threading.Thread):
    """Changes the project's objective again and again, and remembers the newest change that was acknowledged."""

    def __init__(self, client: Client, project: str) -> None:
        super().__init__(daemon=True)
        self._client, self._project = client, project
        self.acknowledged, self._is_over = 0, threading.Event()

    def run(self) -> None:
        while not self._is_over.wait(0.1):
            number = self.acknowledged + 1
            answer = self._client.ask("PATCH", f"/projects/{self._project}", {"objective": f"change {number}"})
            if answer.status == 200:
                self.acknowledged = number

    def finish(self) -> None:
        """Stop after the change that is on its way."""
        self._is_over.set()
        self.join(120)


def test_everything_is_killed_in_turn_and_nothing_is_lost_or_started_twice(
    hub: Hub, database: Postgres, cluster: Cluster
) -> None:
    client = Client(hub)
    project = client.ask("POST", "/projects", {"name": "chaos"}, key="project").body["id"]
    editor = Editor(client, project)
    editor.start()
    launched: list[tuple[str, Fate]] = []
    starter = threading.Thread(target=lambda: launched.extend(launch(client, project, n) for n in range(RUNS)))
    starter.start()

    began, is_cancelled, kills = time.monotonic(), False, list[datetime]()
    for kill, start in accidents(hub, database, cluster):
        if kill == cluster.kill_controller:
            kills.append(datetime.now(UTC))
        kill()
        time.sleep(AWAY_SECONDS)
        start()
        time.sleep(BETWEEN_SECONDS)
        if time.monotonic() > began + SECONDS / 2 and not is_cancelled:
            starter.join(120)
            is_cancelled = True
            for path, fate in launched:
                if fate.is_cancelled:
                    assert client.ask("POST", f"{path}/cancel").status in {200, 202}
        if time.monotonic() > began + SECONDS:
            break
    editor.finish()

    assert len(launched) == RUNS
    for path, _ in launched:
        eventually(lambda path=path: hub.run(path)["status"] in {"completed", "failed", "cancelled"}, path, 240)
    eventually(lambda: not hub.processes(), "the end of all processes of runs", 60)
    for path, fate in launched:
        Story(hub, path, fate, kills, PACE).check()
    assert hub.call("GET", f"/projects/{project}").body["objective"] == f"change {editor.acknowledged}"
    assert len(hub.call("GET", f"/projects/{project}/runs?page_size=100").body["items"]) == RUNS
    assert {status for status in client.statuses if status >= 500} <= {503}
    assert "Traceback" not in (hub.data / "web.log").read_text()
