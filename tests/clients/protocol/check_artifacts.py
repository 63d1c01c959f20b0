"""Files through the client, by the hub's proxy."""

import json
import os

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.service_pb2 import LogModel
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.proto_json_utils import message_to_json

ODD = [
    "with space.txt",
    "größe – 漢.txt",
    "a+b&c=d.txt",
    "100%.txt",
    "a;b,c.txt",
    "'quoted'.txt",
    "[1]{2}.txt",
]


def listed(client, run_id, path=None):
    """Return what a listing has: path, whether it is a folder, size."""
    return sorted((entry.path, entry.is_dir, entry.file_size) for entry in client.list_artifacts(run_id, path))


def test_a_run_without_files_lists_none(client, run_id):
    assert client.list_artifacts(run_id) == []
    assert client.list_artifacts(run_id, "nothing/here") == []


def test_a_file_comes_back_to_the_byte(client, run_id, tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "weights.bin").write_bytes(content)
    client.log_artifact(run_id, str(tmp_path / "weights.bin"), "model")

    assert listed(client, run_id) == [("model", True, None)]
    assert listed(client, run_id, "model") == [("model/weights.bin", False, 3_000_000)]
    local = client.download_artifacts(run_id, "model/weights.bin", str(tmp_path))
    with open(local, "rb") as file:
        assert file.read() == content


def test_a_folder_comes_back_whole(client, run_id, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    for name in ("a.txt", "b/c.txt", "b/d/e.txt"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    target.mkdir()
    client.log_artifacts(run_id, str(source), "all of it")

    assert listed(client, run_id, "all of it/b") == [("all of it/b/c.txt", False, 7), ("all of it/b/d", True, None)]
    client.download_artifacts(run_id, "all of it", str(target))
    assert (target / "all of it" / "b" / "d" / "e.txt").read_text() == "b/d/e.txt"


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_kept(client, run_id, tmp_path, name):
    (tmp_path / name).write_text(name)
    client.log_artifact(run_id, str(tmp_path / name))
    assert listed(client, run_id) == [(name, False, len(name.encode()))]
    target = tmp_path / "target"
    target.mkdir()
    with open(client.download_artifacts(run_id, name, str(target)), encoding="utf-8") as file:
        assert file.read() == name


def test_an_empty_file_is_a_file(client, run_id, tmp_path):
    (tmp_path / "empty").touch()
    client.log_artifact(run_id, str(tmp_path / "empty"))
    assert listed(client, run_id) == [("empty", False, 0)]
    target = tmp_path / "target"
    target.mkdir()
    assert os.path.getsize(client.download_artifacts(run_id, "empty", str(target))) == 0


def test_texts_and_objects_are_written_without_a_file(client, run_id):
    client.log_text(run_id, "ü\n", "notes/today.txt")
    client.log_dict(run_id, {"a": [1, 2]}, "config.json")
    client.log_dict(run_id, {"a": [1, 2]}, "config.yaml")
    uri = f"runs:/{run_id}"
    assert mlflow.artifacts.load_text(f"{uri}/notes/today.txt") == "ü\n"
    assert mlflow.artifacts.load_dict(f"{uri}/config.json") == {"a": [1, 2]}
    assert {path for path, _, _ in listed(client, run_id)} == {"notes", "config.json", "config.yaml"}


def test_the_fluent_interface_writes_to_the_active_run(client, experiment, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_artifact(str(tmp_path / "a.txt"))
        mlflow.log_text("b", "b.txt")
        assert mlflow.get_artifact_uri() == f"mlflow-artifacts:/{experiment}/{run.info.run_id}/artifacts"
    assert listed(client, run.info.run_id) == [("a.txt", False, 1), ("b.txt", False, 1)]


def test_a_file_that_is_written_again_is_replaced(client, run_id):
    client.log_text(run_id, "first, and longer", "a.txt")
    client.log_text(run_id, "second", "a.txt")
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/a.txt") == "second"
    assert listed(client, run_id) == [("a.txt", False, 6)]


def test_files_are_deleted(client, run_id):
    for name in ("a.txt", "b/c.txt"):
        client.log_text(run_id, "x", name)
    repository = get_artifact_repository(client.get_run(run_id).info.artifact_uri)
    repository.delete_artifacts("a.txt")
    assert listed(client, run_id) == [("b", True, None)]


def test_a_file_that_is_not_there_is_refused(client, run_id, tmp_path):
    with pytest.raises(MlflowException):
        client.download_artifacts(run_id, "nothing.txt", str(tmp_path))


@pytest.mark.parametrize("path", ["../a", "a/../../b", "a/..", "..%2fa"])
def test_paths_that_leave_the_run_are_refused(client, run_id, path):
    with pytest.raises(Exception, match=r"400|Invalid path"):
        client.list_artifacts(run_id, path)


def test_strangers_get_no_file_and_put_none(client, run_id, tmp_path, monkeypatch):
    client.log_text(run_id, "secret", "a.txt")
    repository = get_artifact_repository(client.get_run(run_id).info.artifact_uri)
    (tmp_path / "b.txt").write_text("b")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", os.environ["TRAINHUB_STRANGER"])
    for ask in (
        repository.list_artifacts,
        lambda: repository.download_artifacts("a.txt", str(tmp_path)),
        lambda: repository.log_artifact(str(tmp_path / "b.txt")),
        lambda: repository.delete_artifacts("a.txt"),
    ):
        with pytest.raises(Exception, match=r"404|RESOURCE_DOES_NOT_EXIST|No such|not found|does not exist"):
            ask()
    monkeypatch.undo()
    assert listed(client, run_id) == [("a.txt", False, 6)]


def test_the_call_by_which_clients_of_mlflow_2_record_a_model_is_taken(client, run_id):
    record = {"artifact_path": "model", "run_id": run_id, "flavors": {"python_function": {}}}
    body = message_to_json(LogModel(run_id=run_id, model_json=json.dumps(record)))
    client._tracking_client.store._call_endpoint(LogModel, body)

    history = json.loads(client.get_run(run_id).data.tags["mlflow.log-model.history"])
    assert [entry["artifact_path"] for entry in history] == ["model"]
