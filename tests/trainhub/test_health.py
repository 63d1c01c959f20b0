"""Probes: open to everybody, in one word, and honest about database, tables, store and scheduler."""

import os
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone

from runs.models import SchedulerBeat
from trainhub import health

pytestmark = pytest.mark.django_db
LIVE = ["/health", "/health/live"]
PROBES = [*LIVE, "/health/ready"]


def beat(*, seconds_ago=0.0, **values):
    now = timezone.now()
    given = {"host": "here", "pid": 1, "version": "0.1.0", "pass_seconds": 0.1, **values}
    return SchedulerBeat.objects.create(started_at=now, seen_at=now - timedelta(seconds=seconds_ago), **given)


@pytest.fixture(autouse=True)
def fresh_look():
    """Forget what an earlier test saw of the tables."""
    health.schema_fits.cache_clear()
    yield
    health.schema_fits.cache_clear()


@pytest.mark.parametrize("path", PROBES)
def test_probes_need_no_token(path):
    beat()

    answer = Client().get(path)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_is_503_with_retry_after_while_the_database_is_away(monkeypatch):
    def away():
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(connection, "cursor", away)

    answer = Client().get("/health/ready")

    assert (answer.status_code, answer.json()["status"]) == (503, "database unavailable")
    assert answer.headers["Retry-After"] == "2"


@pytest.mark.parametrize("seconds_ago", [None, 100])
def test_a_hub_without_a_scheduler_is_degraded_and_serves(seconds_ago):
    if seconds_ago is not None:
        beat(seconds_ago=seconds_ago)

    answer = Client().get("/health/ready")

    assert (answer.status_code, answer.json()) == (200, {"status": "degraded"})


def test_tables_of_a_newer_version_are_not_served():
    MigrationRecorder(connection).record_applied("runs", "9999_from_the_future")

    answer = Client().get("/health/ready")

    assert (answer.status_code, answer.json()["status"]) == (503, "schema differs")


def test_missing_tables_are_not_served():
    MigrationRecorder(connection).record_unapplied("runs", "0001_initial")

    assert Client().get("/health/ready").status_code == 503


def test_a_store_that_cannot_be_written_is_not_ready(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)

    answer = Client().get("/health/ready")

    assert (answer.status_code, answer.json()["status"]) == (503, "store unavailable")


def test_ready_is_cheap(django_assert_max_num_queries):
    beat()
    Client().get("/health/ready")

    with django_assert_max_num_queries(2):  # the tables may be looked at again in between
        Client().get("/health/ready")


@pytest.mark.parametrize("path", LIVE)
def test_live_does_not_ask_the_database(django_assert_num_queries, path):
    with django_assert_num_queries(0):
        assert Client().get(path).status_code == 200


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_other_methods_are_405_in_json(path, method):
    answer = getattr(Client(enforce_csrf_checks=True), method)(path)

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
