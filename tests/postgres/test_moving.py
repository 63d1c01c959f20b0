"""An installation moves from SQLite to PostgreSQL and back, while a run goes on, and answers as it did before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import SETTINGS
from tests.end_to_end.hub import Hub
from tests.end_to_end.simulated import assert_whole, parameters
from tests.engines.postgres import Postgres

FILL = "from tests.postgres.filled import fill; fill()"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub on SQLite with something of everything in its database. Nobody starts it; others are copied from it."""
    hub = Hub(data=tmp_path_factory.mktemp("prepared"), server="", environment=SETTINGS)
    try:
        hub.prepare().manage("shell", "--command", FILL)
        yield hub
    finally:
        hub.stop()


@pytest.fixture
def old(prepared: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub of the test's own on SQLite."""
    hub = prepared.copy(tmp_path_factory.mktemp("hub"))
    try:
        yield hub
    finally:
        hub.stop()


@pytest.fixture
def new(old: Hub, server: Postgres) -> Iterator[Hub]:
    """The same hub as it will be: the same folder and port, an empty database on the server."""
    hub = Hub(data=old.data, port=old.port, server=server.url, environment=SETTINGS, token=old.token)
    hub.on_server("CREATE DATABASE {}", hub.database)
    try:
        yield hub
    finally:
        hub.stop()


def answers(hub: Hub) -> dict[str, Any]:
    """What the API says of everything: projects, runs, logs, series, artifacts, timelines."""
    found: dict[str, Any] = {"projects": hub.call("GET", "/projects?include_archived=true").body}
    runs = hub.call("GET", "/runs?page_size=100").body["items"]
    for run in runs:
        path = f"/projects/{run['project_id']}/runs/{run['id']}"
        for part in (
            "",
            "/events?page_size=100",
            "/artifacts",
            "/attempts",
            "/logs?page_size=200",
            "/metrics?points=500",
        ):
            answer = hub.call("GET", path + part)
            found[path + part] = (answer.status, without_age(answer.body))
    return found


def without_age(answer: Any) -> Any:
    """Leave out for how long a run has been silent, which is another number each time."""
    if isinstance(answer, dict) and isinstance(answer.get("evidence"), dict):
        answer["evidence"].pop("age_seconds")
    return answer


def keys_given_out(table: str, data: Path) -> int:
    with closing(sqlite3.connect(data / "trainhub.sqlite3")) as connection:
        return int(connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", [table]).fetchone()[0])


def change(data: Path, statement: str) -> None:
    with closing(sqlite3.connect(data / "trainhub.sqlite3", isolation_level=None)) as connection:
        connection.execute(statement)


def test_a_hub_moves_to_postgresql_with_a_run_going_on(old: Hub, new: Hub, server: Postgres) -> None:
    given = parameters(600)
    old.start()
    path = old.new_run(old.new_project(name="moved"), model_parameters=given)
    old.wait_for_step(path, 20)
    old.kill_web()
    old.kill_scheduler()

    said = old.manage("move_database", "--to", new.database_url)

    assert "DIFFERENT" not in said
    assert "are the same" in said
    last = server.execute(new.database, "SELECT last_value FROM runs_metricbatch_id_seq")
    assert last == [(keys_given_out("runs_metricbatch", old.data),)]
    new.start()
    assert new.wait_for_status(path, "completed", "failed")["status"] == "completed"
    assert_whole(new, path, given)
    assert new.run(path)["metrics"]["loss"] == new.series(path, "loss")["value"][-1]


def test_the_new_database_gives_the_same_answers_and_there_is_a_way_back(old: Hub, new: Hub, tmp_path: Path) -> None:
    old.start_web()
    before = answers(old)
    old.kill_web()
    old.environment["TRAINHUB_MOVE_TO"] = new.database_url  # in place of --to, for addresses with a password
    old.manage("move_database")
    new.start_web()
    there = answers(new)
    new.kill_web()

    said = new.manage("move_database", "--to", f"sqlite:///{tmp_path}/back.sqlite3")

    (old.data / "trainhub.sqlite3").unlink()
    for left in old.data.glob("trainhub.sqlite3-*"):
        left.unlink()
    (tmp_path / "back.sqlite3").rename(old.data / "trainhub.sqlite3")
    old.start_web()
    assert len(before) > 40
    assert there == before
    assert answers(old) == before
    assert "are the same" in said


def test_what_is_not_in_order_is_refused_and_changes_nothing(old: Hub, new: Hub, server: Postgres) -> None:
    old.start_web()
    running = old.try_to_manage("move_database", "--to", new.database_url)
    old.kill_web()
    no_address = old.try_to_manage("move_database", "--to", "nonsense")
    itself = old.try_to_manage("move_database", "--to", f"sqlite:///{old.data}/trainhub.sqlite3")
    change(old.data, "UPDATE projects_project SET objective = 'NUL: ' || char(0) WHERE id = 1")
    unstorable = old.try_to_manage("move_database", "--to", new.database_url)
    change(old.data, "UPDATE projects_project SET objective = '' WHERE id = 1")
    left = server.execute(new.database, "SELECT count(*) FROM runs_run")
    again = old.try_to_manage("move_database", "--to", new.database_url)
    twice = old.try_to_manage("move_database", "--to", new.database_url)

    said = [done.stderr for done in (running, no_address, itself, unstorable, twice)]
    assert [done.returncode for done in (running, no_address, itself, unstorable, again, twice)] == [1, 1, 1, 1, 0, 1]
    for text, part in zip(
        said,
        (
            "Stop the hub first",
            "The address must begin with sqlite: or postgresql:",
            "in use",
            "projects_project, row 1,",
            "not empty",
        ),
        strict=True,
    ):
        assert part in text
        assert "Traceback" not in text
    assert left == [(0,)]
