"""Probes: open to everybody, and honest about the database."""

import pytest
from django.db import OperationalError, connection
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_probes_need_no_token(path):
    answer = Client().get(path)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_is_503_with_retry_after_while_the_database_is_away(monkeypatch):
    def away():
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(connection, "cursor", away)

    answer = Client().get("/health/ready")

    assert (answer.status_code, answer.json()["status"]) == (503, "database unavailable")
    assert answer.headers["Retry-After"] == "2"


def test_live_does_not_ask_the_database(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert Client().get("/health").status_code == 200


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_other_methods_are_405_in_json(path, method):
    answer = getattr(Client(enforce_csrf_checks=True), method)(path)

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
