"""The model registry through the client."""

import mlflow
import pytest

from .conftest import refused, unique


@pytest.fixture
def name(client):
    """The name of a registered model without versions."""
    return client.create_registered_model(unique("model"), tags={"task": "chat"}, description="answers").name


@pytest.fixture
def source(client, run_id):
    """The URI of a model's folder among the files of a run."""
    client.log_text(run_id, "flavors: {}\n", "model/MLmodel")
    client.log_text(run_id, "weights", "model/weights.txt")
    return f"{client.get_run(run_id).info.artifact_uri}/model"


@pytest.fixture
def version(client, name, source, run_id):
    """The first version of the model, made of the run."""
    return client.create_model_version(name, source, run_id, tags={"a": "1"}, description="first")


def test_a_model_is_made_and_read(client, name):
    found = client.get_registered_model(name)
    assert (found.name, found.description, found.tags) == (name, "answers", {"task": "chat"})
    assert list(found.latest_versions) == []
    with refused("RESOURCE_ALREADY_EXISTS"):
        client.create_registered_model(name)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_registered_model(unique("nobody made this"))


def test_a_model_is_changed(client, name):
    client.update_registered_model(name, "answers better")
    client.set_registered_model_tag(name, "task", "code")
    client.set_registered_model_tag(name, "team", "nlp")
    client.delete_registered_model_tag(name, "team")
    found = client.get_registered_model(name)
    assert (found.description, found.tags) == ("answers better", {"task": "code"})

    new = unique("renamed")
    client.rename_registered_model(name, new)
    assert client.get_registered_model(new).description == "answers better"
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_registered_model(name)


def test_a_version_is_made_of_a_run(client, name, version, run_id):
    assert (str(version.version), version.status, version.run_id) == ("1", "READY", run_id)
    found = client.get_model_version(name, "1")
    assert (found.description, found.tags, found.current_stage) == ("first", {"a": "1"}, "None")
    assert client.get_model_version_download_uri(name, "1").endswith("model")


def test_versions_are_counted(client, name, version, source, run_id):
    second = client.create_model_version(name, source, run_id)
    assert str(second.version) == "2"
    found = client.search_model_versions(f"name = '{name}'")
    assert sorted(str(item.version) for item in found) == ["1", "2"]
    assert {item.run_id for item in client.search_model_versions(f"run_id = '{run_id}'")} == {run_id}


def test_a_version_is_changed(client, name, version):
    client.update_model_version(name, "1", "better")
    client.set_model_version_tag(name, "1", "b", "2")
    client.delete_model_version_tag(name, "1", "a")
    found = client.get_model_version(name, "1")
    assert (found.description, found.tags) == ("better", {"b": "2"})


def test_an_alias_names_a_version_until_it_is_taken_off(client, name, version, source, run_id):
    client.create_model_version(name, source, run_id)
    client.set_registered_model_alias(name, "champion", "1")
    client.set_registered_model_alias(name, "champion", "2")
    assert str(client.get_model_version_by_alias(name, "champion").version) == "2"
    assert {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()} == {
        "champion": "2"
    }

    client.delete_registered_model_alias(name, "champion")
    with pytest.raises(mlflow.exceptions.MlflowException):
        client.get_model_version_by_alias(name, "champion")


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_version_moves_through_stages(client, name, run_id):
    for checkpoint in ("checkpoint-10", "checkpoint-20"):
        client.log_text(run_id, "weights", f"{checkpoint}/weights.txt")
    client.set_terminated(run_id)  # now its checkpoints are whole
    for checkpoint in ("checkpoint-10", "checkpoint-20"):
        client.create_model_version(name, f"{client.get_run(run_id).info.artifact_uri}/{checkpoint}", run_id)
    client.transition_model_version_stage(name, "1", "Production")
    client.transition_model_version_stage(name, "2", "Production", archive_existing_versions=True)
    assert client.get_model_version(name, "1").current_stage == "Archived"
    assert [str(item.version) for item in client.get_latest_versions(name, ["Production"])] == ["2"]


def test_files_of_a_version_are_loaded_by_number_and_by_alias(client, name, version, tmp_path):
    client.set_registered_model_alias(name, "champion", "1")
    for place, uri in enumerate((f"models:/{name}/1", f"models:/{name}@champion")):
        local = mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path / str(place)))
        with open(f"{local}/weights.txt") as file:
            assert file.read() == "weights"


def test_models_are_searched(client):
    mark = unique("x").split()[1]
    names = [client.create_registered_model(f"{mark}-{place}", tags={"mark": mark}).name for place in range(3)]
    assert [model.name for model in client.search_registered_models(f"name LIKE '{mark}%'")] == names
    assert [model.name for model in client.search_registered_models(f"name ILIKE '{mark.upper()}%'")] == names
    first = client.search_registered_models(f"name LIKE '{mark}%'", max_results=2)
    rest = client.search_registered_models(f"name LIKE '{mark}%'", max_results=2, page_token=first.token)
    assert [model.name for model in [*first, *rest]] == names


def test_versions_and_models_are_deleted(client, name, version):
    client.delete_model_version(name, "1")
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_model_version(name, "1")
    client.delete_registered_model(name)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_registered_model(name)


def test_a_version_is_registered_in_one_call(client, run_id, source):
    name = unique("registered")
    made = mlflow.register_model(f"runs:/{run_id}/model", name, tags={"a": "1"})
    assert (str(made.version), made.status, made.run_id) == ("1", "READY", run_id)
    again = mlflow.register_model(f"runs:/{run_id}/model", name)
    assert str(again.version) == "2"
    assert client.get_model_version(name, "1").tags == {"a": "1"}


def test_strangers_see_no_model(client, name, version, as_stranger):
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_registered_model(name)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_model_version(name, "1")
    assert [model.name for model in client.search_registered_models(f"name = '{name}'")] == []
