"""Ingest calls go past the middleware of browsers, and know their sender without asking each time."""

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from runs.telemetry.log_ranges import count_lines
from tests.factories import new_attempt, runner_of

pytestmark = pytest.mark.django_db
LINE = {"time": 0, "level": 1, "stream": 0, "text": "x"}
POINT = {"key": "loss", "step": 1, "time": 1, "value": 1.0}


@pytest.fixture
def attempt(project):
    return new_attempt(project=project)


def batch(sequence):
    return {"sequence": sequence, "lines": [LINE], "metrics": [POINT]}


@pytest.mark.parametrize(("place", "statements"), [("metrics", 3), ("logs", 6)])
def test_an_ingest_call_asks_the_database_for_no_more_than_it_needs(attempt, place, statements):
    runner = runner_of(attempt)
    runner.call("POST", f"/node/{place}", batch(1))

    with CaptureQueriesContext(connection) as captured:
        runner.call("POST", f"/node/{place}", batch(2))

    sent = [query["sql"] for query in captured if "SAVEPOINT" not in query["sql"]]
    assert len(sent) == statements


def test_a_known_sender_whose_attempt_ended_is_fenced(attempt):
    runner = runner_of(attempt)
    runner.call("POST", "/node/logs", batch(1))
    type(attempt).objects.filter(pk=attempt.pk).update(ended_at="2026-01-01T00:00:00Z")

    answer = runner.call("POST", "/node/logs", batch(2))

    assert (answer.status_code, answer.json()["code"]) == (409, "fenced")
    assert count_lines(attempt.run_id) == 1


def test_a_known_sender_whose_attempt_is_gone_is_fenced(attempt):
    runner = runner_of(attempt)
    runner.call("POST", "/node/metrics", batch(1))
    type(attempt).objects.filter(pk=attempt.pk).delete()

    assert runner.call("POST", "/node/metrics", batch(2)).json()["code"] == "fenced"


@pytest.mark.parametrize("token", ["", "x", "0" * 64])
@pytest.mark.parametrize("place", ["logs", "metrics"])
def test_an_unknown_token_is_401_each_time(client, place, token):
    answers = [
        client.post(f"/node/{place}", batch(1), "application/json", headers={"Authorization": f"Bearer {token}"})
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [401, 401]


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_another_method_is_405(client, method):
    assert getattr(client, method)("/node/logs").status_code == 405


def test_an_answer_carries_its_length_and_stays_out_of_caches(attempt):
    answer = runner_of(attempt).call("POST", "/node/logs", batch(1))

    assert answer["Content-Length"] == str(len(answer.content))
    assert answer["Cache-Control"] == "no-store, private"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert not answer.cookies


def test_a_database_that_is_away_is_503_with_a_time_to_come_back(attempt, monkeypatch):
    def away(**_):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr("runs.node.views.append_lines", away)

    answer = runner_of(attempt).call("POST", "/node/logs", batch(1))

    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert answer["Content-Length"] == str(len(answer.content))


def test_a_path_below_node_that_does_not_exist_is_404(client):
    assert client.post("/node/nothing").status_code == 404
