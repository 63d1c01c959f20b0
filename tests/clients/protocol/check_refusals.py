"""What a client may not do is refused at once, and changes nothing."""

import os

import mlflow
import pytest

from .conftest import refused

SHARED = os.environ["TRAINHUB_SHARED"]  # an experiment that the viewer may see and the stranger not


@pytest.fixture
def shared_run(client):
    """The id of a run in the shared experiment, made by the caller."""
    run_id = client.create_run(SHARED, run_name="shared").info.run_id
    client.log_param(run_id, "seed", 1)
    return run_id


def attempts_at(client, run_id):
    """Return every way to write to a run or to its experiment."""
    return {
        "log_metric": lambda: client.log_metric(run_id, "loss", 1.0),
        "log_param": lambda: client.log_param(run_id, "other", 1),
        "log_batch": lambda: client.log_batch(run_id, metrics=[mlflow.entities.Metric("loss", 1.0, 1, 1)]),
        "set_tag": lambda: client.set_tag(run_id, "a", "b"),
        "update_run": lambda: client.update_run(run_id, name="x"),
        "set_terminated": lambda: client.set_terminated(run_id),
        "delete_run": lambda: client.delete_run(run_id),
        "create_run": lambda: client.create_run(SHARED),
        "tag the experiment": lambda: client.set_experiment_tag(SHARED, "a", "b"),
        "rename the experiment": lambda: client.rename_experiment(SHARED, "mine"),
        "delete the experiment": lambda: client.delete_experiment(SHARED),
        "start_run": lambda: mlflow.start_run(experiment_id=SHARED),
    }


WAYS = list(attempts_at(None, ""))


@pytest.mark.parametrize("token", ["", "wrong", "0" * 64])
def test_without_a_good_token_nothing_is_done(monkeypatch, client, token):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
    for ask in (
        lambda: client.get_experiment(SHARED),
        lambda: client.create_run(SHARED),
        lambda: mlflow.set_experiment("x"),
    ):
        with refused("UNAUTHENTICATED"):
            ask()


def test_a_token_is_also_taken_as_a_password(monkeypatch, client):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anybody")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", os.environ["MLFLOW_TRACKING_TOKEN"])
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    assert client.get_experiment(SHARED).experiment_id == SHARED


@pytest.mark.parametrize("way", WAYS)
def test_a_viewer_reads_and_does_not_write(client, shared_run, as_viewer, way):
    with refused("PERMISSION_DENIED"):
        attempts_at(client, shared_run)[way]()

    found = client.get_run(shared_run)
    assert (found.info.run_name, found.info.status, found.data.params) == ("shared", "RUNNING", {"seed": "1"})
    assert found.data.metrics == {}
    assert client.get_experiment(SHARED).lifecycle_stage == "active"


@pytest.mark.parametrize("way", WAYS)
def test_a_stranger_is_told_that_there_is_nothing(client, shared_run, as_stranger, way):
    with refused("RESOURCE_DOES_NOT_EXIST"):
        attempts_at(client, shared_run)[way]()
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_run(shared_run)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_experiment(SHARED)


def test_a_stranger_does_not_find_an_experiment_by_its_name(client, as_viewer, monkeypatch):
    name = client.get_experiment(SHARED).name
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", os.environ["TRAINHUB_STRANGER"])
    assert client.get_experiment_by_name(name) is None


def test_what_is_not_served_is_refused_at_once(client, experiment):
    with refused("ENDPOINT_NOT_FOUND"):
        client.search_traces([experiment])
