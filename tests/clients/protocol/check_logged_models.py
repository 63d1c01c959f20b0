"""Logged models through the client: MLflow 3 keeps checkpoints as these."""

import mlflow
import pytest
from mlflow.entities import Metric

from .conftest import IS_3, refused, since_3, unique

pytestmark = since_3
if IS_3:
    from mlflow.entities import LoggedModelOutput


@pytest.fixture
def model(client, experiment, run_id):
    """A model of a run, whose files may still come."""
    return client.create_logged_model(
        experiment, name="checkpoint-10", source_run_id=run_id, tags={"a": "1"}, params={"step": "10"}, model_type="lm"
    )


def test_a_model_is_made_filled_and_ready(client, model, experiment, run_id, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"w" * 1000)
    client.log_model_artifacts(model.model_id, str(tmp_path))
    client.finalize_logged_model(model.model_id, "READY")

    found = client.get_logged_model(model.model_id)
    assert (found.name, found.source_run_id, found.experiment_id) == ("checkpoint-10", run_id, experiment)
    assert (str(found.status), found.model_type) == ("READY", "lm")
    assert (found.params, found.tags["a"]) == ({"step": "10"}, "1")
    listed = client.list_logged_model_artifacts(model.model_id)
    assert [(entry.path, entry.file_size) for entry in listed] == [("weights.bin", 1000)]
    local = mlflow.artifacts.download_artifacts(f"models:/{model.model_id}", dst_path=str(tmp_path / "back"))
    with open(f"{local}/weights.bin", "rb") as file:
        assert file.read() == b"w" * 1000


def test_a_model_whose_upload_failed_says_so(client, model):
    client.finalize_logged_model(model.model_id, "FAILED")
    assert str(client.get_logged_model(model.model_id).status) == "FAILED"


def test_parameters_and_tags_are_added(client, model):
    client.log_model_params(model.model_id, {"rank": "8"})
    client.set_logged_model_tags(model.model_id, {"a": "2", "b": "3"})
    client.delete_logged_model_tag(model.model_id, "b")
    found = client.get_logged_model(model.model_id)
    assert found.params == {"step": "10", "rank": "8"}
    assert (found.tags["a"], "b" in found.tags) == ("2", False)


def test_a_run_tells_which_models_it_made(client, model, run_id):
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=10)])
    outputs = client.get_run(run_id).outputs.model_outputs
    assert [(output.model_id, output.step) for output in outputs] == [(model.model_id, 10)]


def test_a_metric_may_belong_to_a_model(client, model, run_id):
    client.log_metric(run_id, "eval/loss", 0.5, step=10, model_id=model.model_id)
    client.log_batch(run_id, [Metric("eval/f1", 0.7, 1000, 10, model_id=model.model_id, run_id=run_id)])
    metrics = client.get_logged_model(model.model_id).metrics
    assert {metric.key: (metric.value, metric.step) for metric in metrics} == {
        "eval/loss": (0.5, 10),
        "eval/f1": (0.7, 10),
    }
    assert client.get_run(run_id).data.metrics == {"eval/loss": 0.5, "eval/f1": 0.7}


def test_models_are_searched(client):
    experiment = client.create_experiment(unique("models"))
    ids = [
        client.create_logged_model(experiment, name=f"m{place}", params={"rank": str(place)}).model_id
        for place in range(3)
    ]
    client.finalize_logged_model(ids[1], "READY")

    def found(filter_string=None, **options):
        return [model.name for model in client.search_logged_models([experiment], filter_string, **options)]

    assert sorted(found()) == ["m0", "m1", "m2"]
    assert found("name = 'm1'") == ["m1"]
    assert found("params.rank = '2'") == ["m2"]
    by_name = [{"field_name": "name", "ascending": True}]
    assert found(order_by=by_name) == ["m0", "m1", "m2"]
    first = client.search_logged_models([experiment], max_results=2, order_by=by_name)
    rest = client.search_logged_models([experiment], max_results=2, order_by=by_name, page_token=first.token)
    assert [model.name for model in [*first, *rest]] == ["m0", "m1", "m2"]


def test_a_deleted_model_is_gone(client, model):
    client.delete_logged_model(model.model_id)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_logged_model(model.model_id)


def test_strangers_see_no_model(client, model, as_stranger):
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_logged_model(model.model_id)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.finalize_logged_model(model.model_id, "READY")
