"""Sessions that PostgreSQL ends or refuses, rows that somebody holds: 503 for what is concerned, all else goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.end_to_end.hub import Hub, eventually
from tests.end_to_end.simulated import assert_whole, parameters
from tests.engines.postgres import Postgres

ROUNDS = 20


def end_all_sessions(server: Postgres, hub: Hub) -> None:
    server.execute(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name = 'trainhub'",
        [hub.database],
    )


def test_sessions_ended_while_runs_are_claimed_start_each_run_once(hub: Hub, server: Postgres) -> None:
    given = parameters(20)
    project = hub.new_project()
    paths = [hub.new_run(project, name=f"run {number}", model_parameters=given) for number in range(3)]

    for _ in range(ROUNDS):
        end_all_sessions(server, hub)
        time.sleep(0.1)  # the pause between two blows, not a wait for something

    for path in paths:
        assert hub.wait_for_status(path, "completed", "failed")["status"] == "completed"
        assert len(hub.call("GET", f"{path}/attempts").body) == 1
        assert_whole(hub, path, given)
    assert "Traceback" not in (hub.data / "scheduler.log").read_text() + (hub.data / "web.log").read_text()


@contextmanager
def held(server: Postgres, hub: Hub, path: str) -> Iterator[None]:
    """Hold the row of a run, as a forgotten console does."""
    with psycopg.connect(server.url, dbname=hub.database) as connection:
        connection.execute("SELECT 1 FROM runs_run WHERE uid = %s FOR UPDATE", [path.rpartition("/")[2]])
        yield


def test_a_row_that_somebody_holds_delays_its_own_run_alone(hub: Hub, server: Postgres) -> None:
    given = parameters(4000)
    project = hub.new_project()
    blocked, other = (hub.new_run(project, name=name, model_parameters=given) for name in ("blocked", "other"))
    for path in (blocked, other):
        hub.wait_for_step(path, 20)

    with held(server, hub, blocked):
        started = time.monotonic()
        answer = hub.call("POST", f"{blocked}/cancel", headers={"Prefer": "wait=0"})
        took = time.monotonic() - started
        step = hub.series(other, "loss")["step"][-1]
        hub.wait_for_step(other, step + 40)
        assert hub.call("GET", blocked).status == 200  # who reads waits for nobody

    assert (answer.status, answer.body["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "2"
    assert took < 20  # the lock's time-out, and not what a statement may take
    for path in (blocked, other):
        eventually(lambda path=path: hub.call("POST", f"{path}/cancel").status in {200, 202}, "a cancel")
        hub.wait_for_status(path, "cancelled")


ASKED = [
    ("GET", "/projects", "application/json", "code", "unavailable"),
    ("POST", "/projects", "application/json", "code", "unavailable"),
    ("GET", "/health/ready", "application/json", "status", "database unavailable"),
    ("POST", "/node/heartbeat", "application/json", "code", "unavailable"),
    (
        "GET",
        "/mlflow/api/2.0/mlflow/runs/get?run_id=run_x",
        "application/json",
        "error_code",
        "TEMPORARILY_UNAVAILABLE",
    ),
]


@pytest.fixture
def closed_hub(hub: Hub, server: Postgres) -> Iterator[Hub]:
    """The hub, whose database takes no connections any more, as when all that the server has are taken."""
    server.execute("postgres", f'ALTER DATABASE "{hub.database}" ALLOW_CONNECTIONS false')
    end_all_sessions(server, hub)
    yield hub
    server.execute("postgres", f'ALTER DATABASE "{hub.database}" ALLOW_CONNECTIONS true')
    eventually(lambda: hub.call("GET", "/health/ready").status == 200, "the hub's recovery", 10)


def test_every_kind_of_path_is_503_in_its_own_form_while_no_connection_is_to_be_had(closed_hub: Hub) -> None:
    for method, path, kind, field, value in ASKED:
        body = {"name": "x"} if method == "POST" else None
        token = "0" * 64 if path.startswith("/node/") else None
        answer = closed_hub.call(method, path, body, token=token)

        assert (path, answer.status, answer.body[field]) == (path, 503, value)
        assert answer.headers["Retry-After"]
        assert answer.headers["Content-Type"].startswith(kind)
    assert closed_hub.call("GET", "/health").status == 200


def test_a_run_is_made_again_by_tracking_clients_on_429_alone(closed_hub: Hub) -> None:
    answer = closed_hub.call("POST", "/mlflow/api/2.0/mlflow/runs/create", {"experiment_id": "proj_x"})

    assert (answer.status, answer.body["error_code"]) == (429, "REQUEST_LIMIT_EXCEEDED")
    assert answer.headers["Retry-After"]


def test_a_browser_gets_a_page_that_says_so(closed_hub: Hub) -> None:
    headers = {"Accept": "text/html", "Cookie": f"trainhub_session_{closed_hub.port}=abcdefghijklmnopqrstuvwxyz012345"}
    answer = closed_hub.call("GET", "/", headers=headers, token="")

    assert answer.status == 503
    assert "The database is busy or away." in answer.body
    assert answer.headers["Retry-After"] == "2"
