"""A database that goes away, or is locked, at any moment of a request: 503 and nothing else, on every kind of path."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import contextmanager

import pytest
from django.db import InternalError, OperationalError, connection
from django.test import Client
from django.urls import reverse
from sesame.utils import get_query_string

from tests.factories import FAST, Caller, heartbeat_body, new_attempt, new_run, runner_of

pytestmark = pytest.mark.django_db(transaction=True)
MOST_STATEMENTS = 120  # of a request; a page that needs more has another problem
HTML = {"Accept": "text/html"}
PASSWORD = "correct horse battery"


@contextmanager
def away_from(number):
    """Let the statements of this thread fail from the given one on."""
    seen = 0

    def execute(proceed, *arguments):
        nonlocal seen
        seen += 1
        if seen >= number:
            raise OperationalError("server closed the connection unexpectedly")
        return proceed(*arguments)

    with connection.execute_wrapper(execute):
        yield


@pytest.fixture
def page_client(viewer):
    """A browser whose person is signed in."""
    client = Client(headers=HTML)
    client.force_login(viewer)
    return client


@pytest.fixture
def ask(request, operator, admin, project, page_client):
    """Return a function that makes one request of a kind."""
    admin.set_password(PASSWORD)
    admin.save()
    attempt = new_attempt(project=project)
    run = new_run(project)
    base = f"/projects/{project.uid}/runs"
    points = {"run_id": run.uid, "metrics": [{"key": "loss", "value": 1, "timestamp": 1, "step": 1}]}
    api, runner = Caller(admin), runner_of(attempt)
    staff = Client(headers=HTML)
    staff.force_login(operator)
    kinds = {
        "sign in": lambda: Client(headers=HTML).post(
            reverse("sign-in"), {"username": admin.username, "password": PASSWORD}
        ),
        "wrong password": lambda: Client(headers=HTML).post(
            reverse("sign-in"), {"username": "nobody", "password": "wrong"}
        ),
        "home": lambda: page_client.get("/"),
        "page of a run": lambda: page_client.get(reverse("run", args=[run.uid])),
        "admin": lambda: staff.get("/admin/runs/run/"),
        "list": lambda: api.call("GET", "/runs"),
        "create": lambda: api.call("POST", base, {"name": "x", **FAST}, Idempotency_Key="key"),
        "change": lambda: api.call("PATCH", f"/projects/{project.uid}", {"name": "y"}),
        "heartbeat": lambda: runner.call("POST", "/node/heartbeat", heartbeat_body()),
        "batch of points": lambda: api.call("POST", "/mlflow/api/2.0/mlflow/runs/log-batch", points),
    }
    return kinds[request.param]


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        ("sign in", 302),
        ("wrong password", 200),
        ("home", 200),
        ("page of a run", 200),
        ("admin", 200),
        ("list", 200),
        ("create", 201),
        ("change", 200),
        ("heartbeat", 200),
        ("batch of points", 200),
    ],
    indirect=["ask"],
)
def test_whichever_statement_fails_the_answer_is_503(ask, expected, caplog):
    statuses = []
    for number in range(1, MOST_STATEMENTS):
        with away_from(number):
            answer = ask()
        statuses.append(answer.status_code)
        if answer.status_code != 503:
            break
        assert answer.headers["Retry-After"] == "2"

    assert statuses[-1] == expected
    assert len(statuses) > 2
    assert [record for record in caplog.records if record.exc_info and record.levelno >= logging.ERROR] == []


@pytest.fixture
def locked(db):
    """SQLite, whose one writer does not come to an end."""
    if connection.vendor != "sqlite":
        pytest.skip("rows are locked there, not the database: tests/postgres")
    connection.close()
    timeout = connection.settings_dict["OPTIONS"]["timeout"]
    connection.settings_dict["OPTIONS"]["timeout"] = 0.2
    writer = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    yield writer
    writer.close()
    connection.close()
    connection.settings_dict["OPTIONS"]["timeout"] = timeout


def test_signing_in_while_sqlite_is_locked_is_503(admin, locked):
    admin.set_password(PASSWORD)
    admin.save()
    client = Client(headers=HTML, raise_request_exception=False)
    locked.execute("BEGIN IMMEDIATE")

    refused = client.post(reverse("sign-in"), {"username": admin.username, "password": PASSWORD})
    locked.execute("ROLLBACK")
    signed_in = client.post(reverse("sign-in"), {"username": admin.username, "password": PASSWORD})

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert signed_in.status_code == 302


@pytest.mark.parametrize(("sqlstate", "status"), [("25P03", 503), ("25006", 503), ("XX000", 500)])
def test_a_session_that_the_server_ended_and_one_that_takes_no_writes_are_503(as_viewer, sqlstate, status):
    """PostgreSQL's class 25 comes as an internal error; a corrupt index does too, and stays a 500."""
    error, cause = InternalError("refused"), Exception()
    cause.sqlstate = sqlstate
    error.__cause__ = cause

    def refuse(*_):
        raise error

    as_viewer.raise_request_exception = False
    with connection.execute_wrapper(refuse):
        answer = as_viewer.call("GET", "/projects")

    assert answer.status_code == status


def test_a_link_that_could_not_sign_in_still_does(viewer):
    client = Client(headers=HTML)
    path = reverse("sign-in-link") + get_query_string(viewer)
    with away_from(2):
        refused = client.get(path)

    assert refused.status_code == 503
    assert client.get(path).status_code == 302
