"""Runs through the client: made, ended, resumed, nested, renamed, deleted, restored."""

import time

import mlflow
import pytest

from .conftest import refused


def test_a_run_of_the_fluent_interface_has_all_that_was_logged(client, experiment):
    before = int(time.time() * 1000)
    with mlflow.start_run(experiment_id=experiment, run_name="first", description="what it is for") as run:
        mlflow.log_param("learning rate", 0.1)
        mlflow.log_params({"layers": 12, "activation": "gelu"})
        mlflow.log_metric("loss", 2.5, step=1)
        mlflow.log_metrics({"loss": 1.5, "eval/accuracy": 0.5}, step=2)
        mlflow.set_tag("stage", "try")
        mlflow.set_tags({"team": "nlp"})

    found = client.get_run(run.info.run_id)
    assert found.data.params == {"learning rate": "0.1", "layers": "12", "activation": "gelu"}
    assert found.data.metrics == {"loss": 1.5, "eval/accuracy": 0.5}
    assert {"stage": "try", "team": "nlp"}.items() <= found.data.tags.items()
    assert {"mlflow.runName": "first", "mlflow.note.content": "what it is for"}.items() <= found.data.tags.items()
    assert (found.info.run_name, found.info.status, found.info.lifecycle_stage) == ("first", "FINISHED", "active")
    assert before <= found.info.start_time <= found.info.end_time <= int(time.time() * 1000)


def test_without_a_name_the_hub_makes_one_up(client, experiment):
    info = client.create_run(experiment).info
    assert info.run_name
    assert client.get_run(info.run_id).data.tags["mlflow.runName"] == info.run_name


def test_a_program_that_raises_leaves_a_failed_run(client, experiment):
    with pytest.raises(ZeroDivisionError), mlflow.start_run(experiment_id=experiment) as run:
        1 / 0  # noqa: B018
    assert client.get_run(run.info.run_id).info.status == "FAILED"


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_a_run_ends_by_the_clients_word(client, run_id, status):
    assert client.get_run(run_id).info.end_time is None
    client.set_terminated(run_id, status, end_time=1_800_000_000_000)

    info = client.get_run(run_id).info
    assert (info.status, info.end_time) == (status, 1_800_000_000_000)


def test_resumed_by_its_id_a_run_goes_on_and_ends_again(client, experiment):
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_metric("loss", 2.0, step=1)
    with mlflow.start_run(run_id=run.info.run_id):
        assert client.get_run(run.info.run_id).info.status == "RUNNING"
        mlflow.log_metric("loss", 1.0, step=2)

    found = client.get_run(run.info.run_id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"loss": 1.0})
    assert [point.step for point in client.get_metric_history(run.info.run_id, "loss")] == [1, 2]


def test_resumed_by_the_variable_a_run_goes_on(monkeypatch, client, experiment, run_id):
    client.set_terminated(run_id)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    with mlflow.start_run() as run:
        assert run.info.run_id == run_id
        assert client.get_run(run_id).info.status == "RUNNING"
    assert client.get_run(run_id).info.status == "FINISHED"


def test_nested_runs_name_their_parent(client, experiment):
    with mlflow.start_run(experiment_id=experiment) as parent, mlflow.start_run(nested=True) as child:
        mlflow.log_metric("loss", 1.0)

    assert client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert client.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id
    assert client.get_run(parent.info.run_id).data.metrics == {}


def test_name_and_status_are_updated(client, run_id):
    client.update_run(run_id, status="SCHEDULED", name="renamed")
    found = client.get_run(run_id)
    assert (found.info.status, found.info.run_name) == ("SCHEDULED", "renamed")
    assert found.data.tags["mlflow.runName"] == "renamed"

    client.set_tag(run_id, "mlflow.runName", "by its tag")
    assert client.get_run(run_id).info.run_name == "by its tag"


def test_tags_are_replaced_and_deleted(client, run_id):
    client.set_tag(run_id, "note", "a\nb – ü\t")
    client.set_tag(run_id, "note", "")
    assert client.get_run(run_id).data.tags["note"] == ""

    client.delete_tag(run_id, "note")
    assert "note" not in client.get_run(run_id).data.tags
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.delete_tag(run_id, "note")


def test_a_deleted_run_takes_nothing_until_it_is_restored(client, run_id):
    client.delete_run(run_id)
    client.delete_run(run_id)
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    for write in (
        lambda: client.log_metric(run_id, "loss", 1.0),
        lambda: client.log_param(run_id, "a", 1),
        lambda: client.set_tag(run_id, "a", 1),
        lambda: client.update_run(run_id, name="x"),
    ):
        with refused("INVALID_PARAMETER_VALUE"):
            write()

    client.restore_run(run_id)
    client.log_metric(run_id, "loss", 1.0)
    assert client.get_run(run_id).data.metrics == {"loss": 1.0}


def test_an_unknown_run_is_refused(client):
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_run("run_" + "0" * 32)
