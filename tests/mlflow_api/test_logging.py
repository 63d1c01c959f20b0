"""Metrics, parameters and tags by the protocol's rules, and what is refused."""

import pytest

from runs.models import MetricBatch, RunParameter
from runs.parameters import LOGGED
from tests.factories import at_once

pytestmark = pytest.mark.django_db
INVALID = "INVALID_PARAMETER_VALUE"
METRIC = {"key": "loss", "value": 1, "timestamp": 1}


@pytest.fixture
def run(tracker, project):
    return tracker.new_run(project)


@pytest.mark.parametrize(
    "metric",
    [
        {"value": 1, "timestamp": 1},
        {"key": "", "value": 1, "timestamp": 1},
        {"key": "loss", "timestamp": 1},
        {"key": "loss", "value": None, "timestamp": 1},
        {"key": "loss", "value": "much", "timestamp": 1},
        {"key": "loss", "value": True, "timestamp": 1},
        {"key": "loss", "value": [1], "timestamp": 1},
        {"key": "loss", "value": 1},
        {"key": "loss", "value": 1, "timestamp": "soon"},
        {"key": "loss", "value": 1, "timestamp": -1},
        {"key": "loss", "value": 1, "timestamp": 2**62},
        {"key": "loss", "value": 1, "timestamp": 1, "step": 2**63},
        {"key": "loss", "value": 1, "timestamp": 1, "step": 1.5},
        {"key": "loss", "value": 1, "timestamp": 1, "step": "x"},
        {"key": "k" * 251, "value": 1, "timestamp": 1},
        {"key": 5, "value": 1, "timestamp": 1},
        *({"key": key, "value": 1, "timestamp": 1} for key in ("/a", "a/", "a//b", "../a", "a/../b", ".", "..", "./a")),
        *({"key": key, "value": 1, "timestamp": 1} for key in ("a#b", "a\\b", "a\nb", "a%b", "a\0b", "a'b", "a<b>")),
    ],
)
def test_a_metric_that_breaks_a_rule_is_refused_alone_and_in_a_batch(tracker, run, metric):
    assert tracker.post("runs/log-metric", code=400, run_id=run, **metric)["error_code"] == INVALID
    batch = tracker.post("runs/log-batch", code=400, run_id=run, metrics=[METRIC, metric])
    assert batch["error_code"] == INVALID
    assert not MetricBatch.objects.exists()


@pytest.mark.parametrize("key", ["a b", "train/loss", "a.b:c-d_e", "größe", "損失", "k" * 250, "..a", "a..b"])
def test_names_that_clients_use_are_taken(tracker, run, key):
    tracker.post("runs/log-metric", run_id=run, key=key, value="1.5", timestamp="7", step="-2")
    tracker.post("runs/log-parameter", run_id=run, key=key, value="x")
    tracker.post("runs/set-tag", run_id=run, key=key, value="y")
    data = tracker.run(run)["data"]
    assert data["metrics"] == [{"key": key, "value": 1.5, "timestamp": 7, "step": -2}]
    assert data["params"] == [{"key": key, "value": "x"}]
    assert {"key": key, "value": "y"} in data["tags"]


def test_fields_that_newer_clients_add_are_ignored(tracker, run):
    metric = {**METRIC, "dataset_name": "d", "dataset_digest": "1", "run_id": run, "something": {"new": 1}}
    tracker.post("runs/log-batch", run_id=run, metrics=[metric], later="field")
    assert tracker.data(run, "metrics") == {"loss": 1.0}


def test_parameters_of_any_text_150_of_them(tracker, run):
    values = {
        f"p{number}": text
        for number, text in enumerate(["", "None", "1e-4", "{'a': [1]}", "\u202e<b>\n", "é" * 6000] * 25)
    }
    items = [{"key": key, "value": value} for key, value in values.items()]
    tracker.post("runs/log-batch", run_id=run, params=items[:100])
    tracker.post("runs/log-batch", run_id=run, params=items[100:])
    assert tracker.data(run, "params") == values
    row = RunParameter.objects.get(name="p2", group=LOGGED)
    assert (row.number, row.text, row.value) == (0.0001, None, "1e-4")


def test_long_values_are_cut(tracker, run):
    tracker.post("runs/log-parameter", run_id=run, key="p", value="x" * 7000)
    tracker.post("runs/log-parameter", run_id=run, key="p", value="x" * 6000)  # as it is kept: no change
    tracker.post("runs/set-tag", run_id=run, key="t", value="y" * 9000)
    assert tracker.data(run, "params") == {"p": "x" * 6000}
    assert tracker.data(run, "tags")["t"] == "y" * 8000


def test_a_parameter_is_written_once(tracker, run):
    tracker.post("runs/log-parameter", run_id=run, key="lr", value="0.1")
    tracker.post("runs/log-parameter", run_id=run, key="lr", value="0.1")
    changed = tracker.post("runs/log-parameter", code=400, run_id=run, key="lr", value="0.10")
    assert changed["error_code"] == INVALID
    assert "Changing param values is not allowed" in changed["message"]
    twice = [{"key": "a", "value": "1"}, {"key": "a", "value": "1"}]
    assert "Duplicate" in tracker.post("runs/log-batch", code=400, run_id=run, params=twice)["message"]
    assert tracker.data(run, "params") == {"lr": "0.1"}


def test_a_clients_parameter_stands_before_the_launchs_of_the_same_name(job_tracker, attempt):
    before = job_tracker.data(attempt.run.uid, "params")
    name, value = next(iter(before.items()))
    job_tracker.post("runs/log-parameter", run_id=attempt.run.uid, key=name, value="mine")
    assert job_tracker.data(attempt.run.uid, "params") == {**before, name: "mine"}
    assert value != "mine"


@pytest.mark.parametrize(("what", "most"), [("metrics", 1000), ("params", 100), ("tags", 100)])
def test_a_batch_has_limits(tracker, run, what, most):
    items = [{"key": f"k{number}", "value": "1", "timestamp": 1} for number in range(most + 1)]
    tracker.post("runs/log-batch", run_id=run, **{what: items[:most]})
    assert tracker.post("runs/log-batch", code=400, run_id=run, **{what: items})["error_code"] == INVALID


def test_a_batch_has_a_limit_for_all_together_and_for_its_bytes(tracker, run):
    metrics = [{"key": f"k{number}", "value": 1, "timestamp": 1} for number in range(1000)]
    tags = [{"key": "t", "value": "1"}]
    assert "together" in tracker.post("runs/log-batch", code=400, run_id=run, metrics=metrics, tags=tags)["message"]
    long = [{"key": f"p{number}", "value": "x" * 20_000} for number in range(60)]
    assert "1000000 bytes" in tracker.post("runs/log-batch", code=400, run_id=run, params=long)["message"]


def test_tags_replace_and_go(tracker, run):
    tracker.post("runs/set-tag", run_id=run, key="team", value="a")
    tracker.post("runs/set-tag", run_id=run, key="team", value="b")
    tracker.post("runs/set-tag", run_id=run, key="empty")
    assert tracker.data(run, "tags") | {"team": "b", "empty": ""} == tracker.data(run, "tags")
    tracker.post("runs/delete-tag", run_id=run, key="team")
    gone = tracker.post("runs/delete-tag", code=404, run_id=run, key="team")
    assert gone["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_the_name_is_a_tag_and_the_tag_the_name(tracker, run, project):
    tracker.post("runs/set-tag", run_id=run, key="mlflow.runName", value="first")
    assert tracker.run(run)["info"]["run_name"] == "first"
    tracker.post("runs/update", run_id=run, run_name="second")
    assert tracker.data(run, "tags")["mlflow.runName"] == "second"
    tracker.post("runs/update", run_id=run, run_name="")
    assert tracker.run(run)["info"]["run_name"] == "second"
    tags = [{"key": "mlflow.runName", "value": "one"}]
    tracker.post("runs/create", code=400, experiment_id=project.uid, run_name="two", tags=tags)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (b'"x"', "application/json"),
        (b"{}", "text/plain"),
        (b"\xff", "application/json"),
        (b"[" * 5000, "application/json"),
        (b'{"run_id": "\\ud800"}', "application/json"),
        (b'{"run_id": NaN}', "application/json"),
        (b"", "application/json"),
    ],
)
def test_a_body_that_is_no_object_is_a_400(tracker, body, content_type):
    response = tracker.generic("POST", "/mlflow/api/2.0/mlflow/runs/log-batch", body, content_type=content_type)
    assert response.status_code == 400
    assert response.json()["error_code"] == INVALID


def test_unknown_paths_and_methods_are_told_as_json(tracker):
    assert tracker.get("traces/search", code=404)["error_code"] == "ENDPOINT_NOT_FOUND"
    assert tracker.get("runs/log-batch", code=405)["error_code"] == "BAD_REQUEST"
    unknown = tracker.generic("POST", "/mlflow/api/3.0/mlflow/traces", b"{}", content_type="application/json")
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_the_token_may_come_as_a_password(tracker, person, run, client):
    import base64

    token = tracker.defaults["HTTP_AUTHORIZATION"].split()[1]
    path = f"/mlflow/api/2.0/mlflow/runs/get?run_id={run}"
    for name in (b"anybody", "jürgen".encode(), "jürgen".encode("latin-1")):
        basic = base64.b64encode(name + b":" + token.encode()).decode()
        assert client.get(path, headers={"Authorization": f"Basic {basic}"}).status_code == 200
    for header in ("", "Basic", "Basic ???", f"Basic {token}", "Bearer", f"Digest {token}", "Bearer " + "x" * 9000):
        answer = client.get(path, headers={"Authorization": header} if header else {})
        assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.django_db(transaction=True)
def test_of_two_who_write_a_parameter_at_once_one_wins(tracker, run):
    def write(value):
        response = tracker.call(
            "POST", "/mlflow/api/2.0/mlflow/runs/log-parameter", {"run_id": run, "key": "lr", "value": value}
        )
        return response.status_code

    codes = at_once(*(lambda value=value: write(value) for value in ("1", "2", "3", "4")))
    assert sorted(codes) == [200, 400, 400, 400]
