"""A database that is busy: every client is told to come again in the way that it understands."""

import pytest
from django.db import OperationalError, connection

from trainhub.errors import TooBusy


@pytest.fixture
def answer_while_busy(tracker):
    """Return a call of an endpoint during which every query fails with `error`."""

    def call(route, error):
        def refuse(*_):
            raise error

        with connection.execute_wrapper(refuse):
            return tracker.call("POST", f"/mlflow/api/2.0/mlflow/{route}", {"name": "vision"})

    return call


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError("database is locked"), TooBusy("Too many at once.")])
@pytest.mark.parametrize(
    ("route", "status", "error_code"),
    [
        ("runs/create", 429, "REQUEST_LIMIT_EXCEEDED"),
        ("experiments/create", 429, "REQUEST_LIMIT_EXCEEDED"),
        ("runs/update", 503, "TEMPORARILY_UNAVAILABLE"),
        ("runs/log-batch", 503, "TEMPORARILY_UNAVAILABLE"),
    ],
)
def test_what_makes_something_is_asked_again_on_429_alone(answer_while_busy, error, route, status, error_code):
    answer = answer_while_busy(route, error)

    assert (answer.status_code, answer.json()["error_code"]) == (status, error_code)
    assert int(answer.headers["Retry-After"]) > 0
