"""Fixtures of checks that run inside a client's own environment, against the hub that MLFLOW_TRACKING_URI names."""

import os
import time
import uuid
from contextlib import contextmanager

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

SECONDS = 5.0  # a refusal that takes longer was repeated by the client
IS_3 = int(mlflow.__version__.partition(".")[0]) >= 3
since_3 = pytest.mark.skipif(not IS_3, reason="this client is of before MLflow 3")


@contextmanager
def refused(code):
    """Expect an error with a code, at once: a client that repeats its request keeps the training waiting."""
    began = time.monotonic()
    with pytest.raises(MlflowException) as caught:
        yield caught
    assert caught.value.error_code == code, caught.value
    assert time.monotonic() - began < SECONDS


def unique(word):
    """Return a name that no other check has."""
    return f"{word} {uuid.uuid4().hex[:8]}"


@pytest.fixture(autouse=True)
def ended_runs():
    """Leave no run active for the next check."""
    yield
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture(scope="session")
def client():
    return MlflowClient()


@pytest.fixture(scope="module")
def experiment(client):
    """The id of an experiment of the module's own."""
    return client.create_experiment(unique("checks"))


@pytest.fixture
def run_id(client, experiment):
    """The id of a new run."""
    return client.create_run(experiment).info.run_id


@pytest.fixture
def as_viewer(monkeypatch):
    """Call with the token of a person who may look at the project TRAINHUB_SHARED and no more."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", os.environ["TRAINHUB_VIEWER"])


@pytest.fixture
def as_stranger(monkeypatch):
    """Call with the token of a person who has no part in any of these projects."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", os.environ["TRAINHUB_STRANGER"])
