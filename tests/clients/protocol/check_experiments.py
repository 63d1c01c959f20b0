"""Experiments through the client: projects of the hub."""

import mlflow
import pytest

from .conftest import refused, unique


def test_one_that_was_created_is_found_by_id_and_by_name(client):
    name = unique("gpt/2 – größer")
    found = client.get_experiment(client.create_experiment(name, tags={"team": "nlp"}))

    assert (found.name, found.lifecycle_stage, found.tags["team"]) == (name, "active", "nlp")
    assert found.artifact_location == f"mlflow-artifacts:/{found.experiment_id}"
    assert client.get_experiment_by_name(name).experiment_id == found.experiment_id
    assert found.creation_time > 1_700_000_000_000


def test_an_unknown_name_is_none_and_an_unknown_id_refused(client):
    assert client.get_experiment_by_name(unique("nobody made this")) is None
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_experiment("proj_0000")


def test_setting_an_unknown_name_creates_it_and_again_takes_it(monkeypatch):
    monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)  # what is set is taken back afterwards
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    name = unique("set")
    first = mlflow.set_experiment(name)
    again = mlflow.set_experiment(name)

    assert first.experiment_id == again.experiment_id
    with mlflow.start_run() as run:
        assert run.info.experiment_id == first.experiment_id


def test_a_taken_name_is_refused(client):
    name = unique("taken")
    client.create_experiment(name)
    with refused("RESOURCE_ALREADY_EXISTS"):
        client.create_experiment(name)


def test_tags_are_set_replaced_and_deleted(client):
    experiment = client.create_experiment(unique("tagged"))
    client.set_experiment_tag(experiment, "data set", "v1")
    client.set_experiment_tag(experiment, "data set", "v2")
    assert client.get_experiment(experiment).tags["data set"] == "v2"

    if not hasattr(client, "delete_experiment_tag"):
        pytest.skip("this client cannot delete tags of experiments")
    client.delete_experiment_tag(experiment, "data set")
    assert "data set" not in client.get_experiment(experiment).tags


def test_one_is_renamed(client):
    experiment, name = client.create_experiment(unique("old")), unique("new")
    client.rename_experiment(experiment, name)
    assert client.get_experiment(experiment).name == name


def test_one_is_deleted_with_its_runs_and_restored(client):
    name = unique("gone")
    experiment = client.create_experiment(name)
    run_id = client.create_run(experiment).info.run_id

    client.delete_experiment(experiment)
    assert client.get_experiment_by_name(name).lifecycle_stage == "deleted"
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    with refused("INVALID_PARAMETER_VALUE"):
        client.create_run(experiment)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.delete_experiment(experiment)

    client.restore_experiment(experiment)
    assert client.get_experiment(experiment).lifecycle_stage == "active"
    assert client.get_run(run_id).info.lifecycle_stage == "active"


def test_without_an_experiment_runs_go_to_the_default_one(client):
    run = client.create_run("0")
    found = client.get_experiment(run.info.experiment_id)
    assert found.name == "Default"
    assert client.get_experiment("0").experiment_id == found.experiment_id
