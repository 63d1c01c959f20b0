"""Logged models: made, filled, declared ready; checkpoints of their run."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from django.urls import reverse
from django.utils import timezone

from artifacts.models import Artifact, LoggedModel, TagValue
from artifacts.services import tag_artifact
from artifacts.storage import store
from artifacts.tracking.checkpoints import settle_client_files
from projects.models import Role
from runs.models import Run
from tests.factories import add_member, artifact_path, everything, fresh, kinds, new_project, new_user

from .conftest import Tracker
from .test_artifacts import put, sources

pytestmark = pytest.mark.django_db
API = "/mlflow/api/2.0"


@pytest.fixture
def run(tracker, project):
    """An external run."""
    return Run.objects.get(uid=tracker.new_run(project))


@pytest.fixture
def model(tracker, run):
    """The `info` of a model of the run."""
    return new_model(tracker, run)["info"]


def new_model(caller, run, **body):
    return caller.post(
        "logged-models", experiment_id=run.project.uid, source_run_id=run.uid, **{"name": "step-10", **body}
    )["model"]


def root(model):
    return f"{API}/mlflow-artifacts/artifacts/{model['artifact_uri'].removeprefix('mlflow-artifacts:/')}"


def put_file(caller, model, path, content=b"weights", code=200):
    answer = caller.call("PUT", f"{root(model)}/{quote(path)}", content)
    assert answer.status_code == code, answer.content
    return answer.json()


def patch(caller, model, code=200, **body):
    return caller.ask("PATCH", f"logged-models/{model['model_id']}", body, code=code)


def shown(caller, model):
    return caller.get(f"logged-models/{model['model_id']}")["model"]


def test_a_model_is_made_and_read(tracker, run):
    made = new_model(
        tracker,
        run,
        model_type="transformers",
        params=[{"key": "lr", "value": "0.1"}],
        tags=[{"key": "team", "value": "nlp"}],
    )
    info = made["info"]
    assert info["model_id"].startswith("m-")
    assert info["artifact_uri"] == f"mlflow-artifacts:/{run.project.uid}/models/{info['model_id']}/artifacts"
    assert (info["status"], info["source_run_id"]) == ("LOGGED_MODEL_PENDING", run.uid)
    assert (info["name"], info["model_type"]) == ("step-10", "transformers")
    assert info["tags"] == [{"key": "team", "value": "nlp"}]
    assert made["data"] == {"params": [{"key": "lr", "value": "0.1"}], "metrics": []}
    assert shown(tracker, info) == made
    assert new_model(tracker, run, name="")["info"]["name"].startswith("model-")


@pytest.mark.parametrize("name", ["a/b", "a:b", "a.b", "a%b", 'a"b', "a'b", "x" * 501])
def test_a_name_that_clients_cannot_address_is_refused(tracker, run, name):
    body = {"experiment_id": run.project.uid, "source_run_id": run.uid, "name": name}
    assert tracker.post("logged-models", code=400, **body)["error_code"] == "INVALID_PARAMETER_VALUE"
    assert not LoggedModel.objects.exists()


def test_a_ready_model_is_a_whole_checkpoint_of_its_run(tracker, run, model):
    tracker.post("runs/outputs", run_id=run.uid, models=[{"model_id": model["model_id"], "step": 10}])
    put_file(tracker, model, "MLmodel", b"flavors")
    put_file(tracker, model, "data/model.bin")
    checkpoint = Artifact.objects.get()
    assert (checkpoint.state, checkpoint.step, checkpoint.name) == ("writing", 10, "step-10")
    assert tracker.get("artifacts/list", run_id=run.uid)["files"] == []
    tracker.post("runs/update", run_id=run.uid, status="FINISHED")
    assert fresh(checkpoint).state == "writing"  # the model's own word decides

    ready = patch(tracker, model, status="LOGGED_MODEL_READY")["model"]["info"]
    assert ready["status"] == "LOGGED_MODEL_READY"
    assert (fresh(checkpoint).state, fresh(checkpoint).type) == ("verified", "checkpoint")
    assert kinds(run).count("checkpoint_recorded") == 1
    patch(tracker, model, status=2)
    assert kinds(run).count("checkpoint_recorded") == 1
    assert "cannot be changed" in put_file(tracker, model, "MLmodel", b"other", code=400)["message"]
    assert tracker.call("DELETE", f"{root(model)}/MLmodel").status_code == 400
    assert "taken back" in patch(tracker, model, code=400, status="LOGGED_MODEL_UPLOAD_FAILED")["message"]
    assert tracker.run(run.uid)["outputs"] == {"model_outputs": [{"model_id": model["model_id"], "step": 10}]}


def test_many_outputs_take_few_queries(tracker, run, model, django_assert_max_num_queries):
    put_file(tracker, model, "MLmodel")
    others = [new_model(tracker, run, name=f"m{number}")["info"] for number in range(9)]
    models = [{"model_id": one["model_id"], "step": 5} for one in (*others, model)]
    with django_assert_max_num_queries(15):
        tracker.post("runs/outputs", run_id=run.uid, models=models)
    models += [{"model_id": model["model_id"], "step": step} for step in (7, 9)]
    tracker.post("runs/outputs", run_id=run.uid, models=models)

    assert sorted(run.model_links.values_list("step", flat=True)) == [5] * 9 + [9]
    assert Artifact.objects.get().step == 9


def test_outputs_that_cannot_be_noted_change_nothing(tracker, run, model, project):
    viewer = add_member(project, "vera", Role.VIEWER)
    own = Tracker(viewer).new_run(new_project(by=viewer))
    before = everything()["RunModel"]
    known, unknown = ({"model_id": one, "step": 1} for one in (model["model_id"], "m-" + "0" * 32))
    Tracker(viewer).post("runs/outputs", code=403, run_id=own, models=[known])
    assert (
        "0000' not found" in tracker.post("runs/outputs", code=404, run_id=run.uid, models=[known, unknown])["message"]
    )
    tracker.post("runs/outputs", code=404, run_id=run.uid, models=[{"model_id": "x"}])
    assert "1001 were" in tracker.post("runs/outputs", code=400, run_id=run.uid, models=[known] * 1001)["message"]
    tracker.post("runs/outputs", run_id=run.uid, models=[])
    tracker.post("experiments/delete", experiment_id=project.uid)
    tracker.post("runs/outputs", code=400, run_id=run.uid, models=[known])
    assert everything()["RunModel"] == before == []


def test_a_model_of_an_archived_project_is_not_deleted(tracker, model, project):
    tracker.post("experiments/delete", experiment_id=project.uid)

    assert "active" in tracker.ask("DELETE", f"logged-models/{model['model_id']}", code=400)["message"]
    assert LoggedModel.objects.exists()


def test_a_name_that_is_no_folder_is_the_models_alone(tracker, run):
    odd = new_model(tracker, run, name="a\\b\n")["info"]
    put_file(tracker, odd, "MLmodel")

    assert odd["name"] == "a\\b\n"
    assert Artifact.objects.get().name == odd["model_id"]


def test_files_of_a_model_are_listed_read_and_removed(tracker, run, model):
    for path in ("MLmodel", "data/a.bin", "data/b.bin"):
        put_file(tracker, model, path, path.encode())

    where = f"logged-models/{model['model_id']}/artifacts/directories"
    top = tracker.get(where)
    assert top["root_uri"] == model["artifact_uri"]
    assert top["files"] == [
        {"path": "MLmodel", "is_dir": False, "file_size": 7},
        {"path": "data", "is_dir": True},
    ]
    assert [file["path"] for file in tracker.get(where, artifact_directory_path="data")["files"]] == [
        "data/a.bin",
        "data/b.bin",
    ]
    folder = f"{model['artifact_uri'].removeprefix('mlflow-artifacts:/')}/data"
    listed = tracker.call("GET", f"{API}/mlflow-artifacts/artifacts?path={folder}").json()["files"]
    assert [file["path"] for file in listed] == ["a.bin", "b.bin"]
    answer = tracker.call("GET", f"{root(model)}/data/a.bin")
    assert b"".join(answer.streaming_content) == b"data/a.bin"
    assert tracker.call("DELETE", f"{root(model)}/data").json() == {}
    assert [file["path"] for file in tracker.get(where)["files"]] == ["MLmodel"]
    assert tracker.get(where, code=400, artifact_directory_path="../x")["error_code"] == "INVALID_PARAMETER_VALUE"


def test_a_model_without_a_run_takes_no_files(tracker, project):
    info = tracker.post("logged-models", experiment_id=project.uid, name="loose")["model"]["info"]
    assert "source_run_id" not in info
    assert "source run" in put_file(tracker, info, "MLmodel", code=400)["message"]
    patch(tracker, info, status="LOGGED_MODEL_READY")


def test_parameters_are_written_once_and_tags_over(tracker, run, model):
    where = f"logged-models/{model['model_id']}"
    assert tracker.post(f"{where}/params", params=[{"key": "lr", "value": "0.1"}, {"key": "note"}]) == {}
    tracker.post(f"{where}/params", params=[{"key": "lr", "value": "0.1"}])
    tracker.post(f"{where}/params", code=400, params=[{"key": "lr", "value": "0.2"}])
    tracker.ask("PATCH", f"{where}/tags", {"tags": [{"key": "a/b", "value": "1"}, {"key": "c", "value": "2"}]})
    tracker.ask("PATCH", f"{where}/tags", {"tags": [{"key": "c", "value": "3"}]})
    tracker.ask("DELETE", f"{where}/tags/a/b")
    tracker.ask("DELETE", f"{where}/tags/a/b", code=404)

    now = shown(tracker, model)
    assert now["data"]["params"] == [{"key": "lr", "value": "0.1"}, {"key": "note", "value": ""}]
    assert now["info"]["tags"] == [{"key": "c", "value": "3"}]


def test_metrics_that_name_a_model_are_the_models_too(tracker, run, model):
    def point(value, step, **more):
        return {"key": "loss", "value": value, "timestamp": 5, "step": step, "model_id": model["model_id"], **more}

    tracker.post("runs/log-batch", run_id=run.uid, metrics=[point(0.5, 3), point(0.9, 1), point(0.1, 9, key="acc")])
    tracker.post("runs/log-metric", run_id=run.uid, **point("NaN", 3))
    tracker.post("runs/log-metric", run_id=run.uid, **point("Infinity", 4, key="peak"))
    tracker.post("runs/log-metric", run_id=run.uid, **point(1, 4, model_id="m-unknown"))

    metrics = {metric["key"]: metric for metric in shown(tracker, model)["data"]["metrics"]}
    assert {key: (metric["value"], metric["step"]) for key, metric in metrics.items()} == {
        "acc": (0.1, 9),
        "loss": (0.5, 3),
        "peak": ("Infinity", 4),
    }
    assert (metrics["loss"]["model_id"], metrics["loss"]["run_id"]) == (model["model_id"], run.uid)
    assert tracker.data(run.uid, "metrics") == {"acc": 0.1, "loss": 1.0, "peak": "Infinity"}


def test_metrics_of_others_models_and_of_deleted_ones_are_the_runs_alone(tracker, run, model, project, person):
    viewer = add_member(project, "vera", Role.VIEWER)
    own = Tracker(viewer).new_run(new_project(by=viewer))
    archived, gone = new_project(by=person), Run.objects.get(uid=tracker.new_run(project))
    old = Run.objects.get(uid=tracker.new_run(archived))
    others = [model, new_model(tracker, gone)["info"], new_model(tracker, old)["info"]]
    tracker.post("runs/delete", run_id=gone.uid)
    tracker.post("experiments/delete", experiment_id=archived.uid)
    before = everything()["LoggedModel"]
    points = [{"key": "loss", "value": 1, "timestamp": 5, "model_id": one["model_id"]} for one in others]
    Tracker(viewer).post("runs/log-batch", run_id=own, metrics=points[:1])
    Tracker(viewer).post("runs/log-metric", run_id=own, **points[0])
    tracker.post("runs/log-batch", run_id=run.uid, metrics=points[1:])

    assert everything()["LoggedModel"] == before
    assert Tracker(viewer).data(own, "metrics") == tracker.data(run.uid, "metrics") == {"loss": 1.0}


def test_a_failed_upload_is_kept_for_a_day(tracker, run, model):
    put_file(tracker, model, "MLmodel")
    artifact = Artifact.objects.get()
    patch(tracker, model, status="LOGGED_MODEL_UPLOAD_FAILED")
    assert settle_client_files() == 0
    assert settle_client_files(now=timezone.now() + timedelta(hours=25)) == 1
    assert (Artifact.objects.exists(), store().holds(artifact.uid)) == (False, False)
    put_file(tracker, model, "MLmodel")  # the client tries again
    patch(tracker, model, status="LOGGED_MODEL_READY")
    assert Artifact.objects.get().state == "verified"


def test_deleting_a_model_leaves_a_whole_checkpoint_and_takes_what_is_not(tracker, run, model):
    put_file(tracker, model, "MLmodel")
    half = Artifact.objects.get()
    other = new_model(tracker, run, name="whole")["info"]
    put_file(tracker, other, "MLmodel")
    patch(tracker, other, status="LOGGED_MODEL_READY")
    for one in (model, other):
        tracker.ask("DELETE", f"logged-models/{one['model_id']}")
        tracker.get(f"logged-models/{one['model_id']}", code=404)

    assert [one.name for one in Artifact.objects.all()] == ["whole"]
    assert not store().holds(half.uid)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", {"step-10", "step-20", "other"}),
        ("name = 'step-10'", {"step-10"}),
        ("attributes.name LIKE 'step-%' AND status = 'LOGGED_MODEL_READY'", {"step-20"}),
        ("status = 'READY'", {"step-20"}),
        ("name ILIKE 'STEP__10'", set()),
        ("`name` ilike 'STEP_10'", {"step-10"}),
        ("name != 'other' and creation_timestamp > 5", {"step-10", "step-20"}),
        ("creation_time < 5", set()),
        ("creation_time > 999999999999999", set()),
        ("last_updated_time > 1700000000000.5", {"step-10", "step-20", "other"}),
        ("status IN ('READY', 'UPLOAD_FAILED') AND model_id LIKE 'm-%'", {"step-20"}),
        ("status != 'READY' AND name NOT IN ('other')", {"step-10"}),
        ("params.rank IN ('7', '8') AND tags.`a b` NOT IN ('d')", {"step-20"}),
        ('model_type = "llm"', {"other"}),
        ("source_run_id = '{run}'", {"step-10", "step-20", "other"}),
        ("source_run_id = 'run_0'", set()),
        ("params.rank = '8'", {"step-20"}),
        ("params.rank != '8'", set()),
        ("params.`rank` LIKE '_' AND tags.\"a b\" = 'c'", {"step-20"}),
        ("parameters.rank ILIKE '9'", set()),
        ("metrics.loss < 0.6 AND metrics.loss >= 0.5", {"step-20"}),
        ("metrics.loss > 0.5", set()),
        ("metrics.peak > 1e300 AND metrics.none != 1", {"step-20"}),
        ("metrics.peak < 1e300", set()),
        ("metrics.none = 1", set()),
        ("metrics.`val/loss` = 1", set()),
    ],
)
def test_models_are_found(tracker, run, model, text, names):
    pairs = {"params": [{"key": "rank", "value": "8"}], "tags": [{"key": "a b", "value": "c"}]}
    ready = new_model(tracker, run, name="step-20", **pairs)["info"]
    for key, value in {"loss": 0.5, "peak": "Infinity", "none": "NaN"}.items():
        tracker.post("runs/log-metric", run_id=run.uid, key=key, value=value, timestamp=1, model_id=ready["model_id"])
    patch(tracker, ready, status="LOGGED_MODEL_READY")
    new_model(tracker, run, name="other", model_type="llm")
    found = tracker.post(
        "logged-models/search", experiment_ids=[run.project.uid], filter=text.replace("{run}", run.uid)
    )
    assert {one["info"]["name"] for one in found.get("models", [])} == names


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": "color = 'red'"},
        {"filter": "name = 'a' OR name = 'b'"},
        {"filter": "name = 5"},
        {"filter": "name > 'a'"},
        {"filter": "name = 'a' AND"},
        {"filter": "'; DROP TABLE"},
        {"filter": "creation_time = 'x'"},
        {"filter": "tags.a IS NULL"},
        {"filter": "metrics.loss < 'a'"},
        {"filter": "params.rank = 8"},
        {"filter": "params.rank > '8'"},
        {"filter": "tags.a = 'b' tags.c = 'd'"},
        {"order_by": [{"field_name": "color"}]},
        {"order_by": [{"field_name": "name DESC"}]},
        {"order_by": [{"field_name": "params.rank"}]},
        {"order_by": [{"field_name": "name"}] * 11},
        {"order_by": "name"},
        {"max_results": 0.5},
        {"max_results": 5000},
        {"max_results": -1},
        {"page_token": "???"},
        {"page_token": "LTE="},
        {"experiment_ids": ["proj_0"] * 5001},
    ],
)
def test_a_search_that_cannot_be_answered_is_refused(tracker, project, body):
    ids = {"experiment_ids": [project.uid]} if body else {}
    assert tracker.post("logged-models/search", code=400, **{**ids, **body})["error_code"] == "INVALID_PARAMETER_VALUE"


def test_a_search_without_models_is_an_empty_object(tracker, project):
    assert tracker.post("logged-models/search", experiment_ids=[project.uid], datasets=[]) == {}


def test_search_pages_and_orders(tracker, run):
    for name in ("b", "a", "c"):
        new_model(tracker, run, name=name)

    def page(**body):
        answer = tracker.post("logged-models/search", experiment_ids=[run.project.uid], max_results=2, **body)
        return [one["info"]["name"] for one in answer["models"]], answer.get("next_page_token")

    first, token = page()
    assert first == ["c", "a"]
    assert page(page_token=token) == (["b"], None)
    assert page(order_by=[{"field_name": "name"}])[0] == ["a", "b"]
    assert page(order_by=[{"field_name": "name", "ascending": False}])[0] == ["c", "b"]


def test_who_may_not_see_a_model_learns_nothing_of_it(tracker, run, model, project):
    put_file(tracker, model, "MLmodel")
    before = everything()
    where = f"logged-models/{model['model_id']}"
    stranger = Tracker(new_user("eve"))
    stranger.get(where, code=404)
    stranger.get(f"{where}/artifacts/directories", code=404)
    assert stranger.post("logged-models/search", experiment_ids=[project.uid]) == {}
    put_file(stranger, model, "MLmodel", b"evil", code=404)
    patch(stranger, model, code=404, status="LOGGED_MODEL_READY")
    viewer = Tracker(add_member(project, "vera", Role.VIEWER))
    assert shown(viewer, model)["info"]["name"] == "step-10"
    put_file(viewer, model, "MLmodel", b"evil", code=403)
    patch(viewer, model, code=403, status="LOGGED_MODEL_READY")
    viewer.ask("DELETE", where, code=403)
    viewer.post(f"{where}/params", code=403, params=[])
    viewer.post("logged-models", code=403, experiment_id=project.uid, name="x")
    assert everything()["LoggedModel"] == before["LoggedModel"]
    assert everything()["Artifact"] == before["Artifact"]


def test_a_jobs_token_sees_the_models_of_its_runs(job_tracker, attempt, tracker, run, model):
    own = job_tracker.post("logged-models", experiment_id="0", name="mine")["model"]["info"]
    assert own["source_run_id"] == attempt.run.uid
    put_file(job_tracker, own, "MLmodel")
    job_tracker.get(f"logged-models/{model['model_id']}", code=404)
    put_file(job_tracker, model, "MLmodel", code=404)
    found = job_tracker.post("logged-models/search", experiment_ids=[run.project.uid])["models"]
    assert [one["info"]["name"] for one in found] == ["mine"]


@pytest.mark.parametrize("uid", ["m-0", "m-" + "0" * 32, "x", "m-%00", "search"])
def test_an_id_of_nothing_is_nowhere(tracker, uid):
    answer = tracker.call("GET", f"{API}/mlflow/logged-models/{uid}")
    assert answer.status_code in {404, 405}


# --- MLflow 2 -------------------------------------------------------------------------------------
def log_model(caller, run, path, code=200):
    return caller.post("runs/log-model", code=code, run_id=run.uid, model_json=f'{{"artifact_path": "{path}"}}')


def test_files_of_a_run_that_a_client_calls_a_model_are_a_checkpoint(tracker, run):
    put(tracker, run, "model/MLmodel")
    put(tracker, run, "plots/a")
    assert log_model(tracker, run, "model") == {}
    log_model(tracker, run, "model")

    assert sources(run) == {
        "model": ("checkpoint", "verified", ["MLmodel"]),
        "plots": ("other", "verified", ["a"]),
    }
    assert kinds(run).count("checkpoint_recorded") == 1
    put(tracker, run, "model/more")
    assert sources(run)["model"] == ("checkpoint", "writing", ["MLmodel", "more"])


def test_a_model_within_a_folder_moves_to_a_checkpoint_of_its_own(tracker, run):
    for path in ("out/model/MLmodel", "out/model/data/w.bin", "out/model2/x", "out/log"):
        put(tracker, run, path, path.encode())
    log_model(tracker, run, "out/model")
    log_model(tracker, run, "out/model")

    assert sources(run) == {
        "out": ("other", "verified", ["model2/x", "log"]),
        "out/model": ("checkpoint", "verified", ["MLmodel", "data/w.bin"]),
    }
    for path in ("out/model/MLmodel", "out/model/data/w.bin", "out/model2/x", "out/log"):
        answer = tracker.call("GET", f"{API}/mlflow-artifacts/artifacts/{run.project.uid}/{run.uid}/artifacts/{path}")
        assert b"".join(answer.streaming_content) == path.encode()
    for artifact in run.artifacts.all():
        assert store().numbers(artifact.uid) == set(artifact.places)
    put(tracker, run, "out/more")


def test_all_files_of_a_folder_may_move(tracker, run):
    put(tracker, run, "out/model/MLmodel")
    old = run.artifacts.get()
    log_model(tracker, run, "out/model")

    assert list(sources(run)) == ["out/model"]
    assert not store().holds(old.uid)


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '{"artifact_path": "../x"}', '{"artifact_path": 5}'])
def test_a_model_json_that_says_nothing_is_refused(tracker, run, text):
    assert tracker.post("runs/log-model", code=400, run_id=run.uid, model_json=text)


def test_a_model_without_files_is_no_checkpoint(tracker, run):
    assert log_model(tracker, run, "model") == {}
    assert not run.artifacts.exists()


# --- The hub's own pages and API ------------------------------------------------------------------
@pytest.fixture
def ready(tracker, run, model):
    """The whole checkpoint of a logged model."""
    put_file(tracker, model, "config.json", b'{"layers": 2}')
    put_file(tracker, model, "model.bin", b"weights" * 100)
    put_file(tracker, model, "config.json", b'{"layers": 3}')
    patch(tracker, model, status="LOGGED_MODEL_READY")
    return Artifact.objects.select_related("run__project").get()


def test_the_hub_shows_verifies_tags_and_sends_it(tracker, client, person, ready):
    client.force_login(person)
    assert client.get(reverse("artifact", args=[ready.uid]) + "?file=0").status_code == 200
    assert "layers" in client.get(reverse("artifact", args=[ready.uid]) + "?file=0").content.decode()
    assert client.get(reverse("artifacts", args=[ready.run.uid])).status_code == 200
    assert b"config.json" in b"".join(client.get(reverse("artifact-download", args=[ready.uid])).streaming_content)
    sent = client.get(reverse("artifact-file", args=[ready.uid, 0]))
    assert b"".join(sent.streaming_content) == b'{"layers": 3}'
    assert tracker.call("POST", f"{artifact_path(ready)}/verify").json()["state"] == "verified"
    tag_artifact(artifact=ready, value=TagValue.RELEASE, notes="best", by=person)


def test_what_is_not_whole_is_in_no_list_of_the_hub(tracker, client, person, run):
    put(tracker, run, "checkpoints/5/model.bin")
    client.force_login(person)

    assert tracker.call("GET", f"/projects/{run.project.uid}/runs/{run.uid}/artifacts").json() == {"items": []}
    assert client.get(reverse("artifact", args=[run.artifacts.get().uid])).status_code == 404


def test_a_managed_run_resumes_from_it_when_a_recipe_is_named(tracker, ready):
    where = f"/projects/{ready.run.project.uid}/runs/{ready.run.uid}/resume?source_artifact_id={ready.uid}"
    resumed = tracker.call("POST", where, {"name": "on", "recipe": "simulate"})

    assert resumed.status_code == 201, resumed.content
    assert Run.objects.get(uid=resumed.json()["id"]).resumed_from == ready
