"""Datasets and logged models that runs read."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from artifacts.models import RunModel
from mlflow_api import inputs as shown
from projects.models import Role
from runs.models import RunDataset
from runs.tracking import datasets
from tests.factories import add_member, everything, new_project, new_run, new_user

from .conftest import Tracker
from .registering import logged_model

pytestmark = pytest.mark.django_db


def dataset(tags=(("mlflow.data.context", "train"),), **changes):
    told = {"name": "wiki", "digest": "abc", "source_type": "hf", "source": '{"path": "wiki"}', **changes}
    return {"tags": [{"key": key, "value": value} for key, value in tags], "dataset": told}


def inputs(tracker, run):
    return tracker.run(run)["inputs"]["dataset_inputs"]


def test_a_dataset_is_shown_as_it_was_told(tracker, project):
    run = tracker.new_run(project)
    assert tracker.run(run)["inputs"] == {}
    told = [dataset(schema='{"columns": []}', profile='{"rows": 7}'), dataset(tags=(), name="news")]
    assert tracker.post("runs/log-inputs", run_id=run, datasets=told) == {}
    assert inputs(tracker, run) == told
    assert RunDataset.objects.get(name="wiki").context == "train"


def test_the_same_dataset_again_is_merged(tracker, project):
    run = tracker.new_run(project)
    tracker.post("runs/log-inputs", run_id=run, datasets=[dataset(tags=(("a", "1"), ("b", "1")), profile="p")])
    twice = [dataset(tags=(("b", "2"),), source="new"), dataset(tags=(("mlflow.data.context", "eval"),), source="new")]
    tracker.post("runs/log-inputs", run_id=run, datasets=twice)
    tracker.post("runs/log-inputs", run_id=run, datasets=[dataset(digest="other")])
    one, other = inputs(tracker, run)
    assert one == dataset(tags=(("a", "1"), ("b", "2"), ("mlflow.data.context", "eval")), source="new", profile="p")
    assert other["dataset"]["digest"] == "other"


@pytest.mark.parametrize(
    "told",
    [
        dataset(name=""), dataset(name="n" * 501), dataset(digest=""), dataset(digest="d" * 37), dataset(source=""),
        dataset(source="s" * 65_536), dataset(source_type=""), dataset(schema="s" * 1_048_576), dataset(name=7),
        dataset(tags=(("", "x"),)), dataset(tags=(("k" * 256, "x"),)), dataset(tags=(("k", "v" * 501),)),
        dataset(name="\0"), {"tags": []}, {"dataset": []}, "x", {**dataset(), "tags": {"a": "b"}},
    ],
)  # fmt: skip
def test_a_dataset_beyond_the_limits_is_refused_with_all_of_its_request(tracker, project, told):
    run = tracker.new_run(project)
    before = everything()
    refused = tracker.post("runs/log-inputs", code=400, run_id=run, datasets=[dataset(), told])
    assert refused["error_code"] == "INVALID_PARAMETER_VALUE"
    assert everything() == before


def test_limits_are_reached(tracker, project):
    run = tracker.new_run(project)
    largest = dataset(
        name="n" * 500, digest="d" * 36, source="s" * 65_535, schema="s" * 1_048_575, profile='"' * 16_777_215
    )
    too_many = [dataset(name=f"number {number}") for number in range(1001)]
    tracker.post("runs/log-inputs", code=400, run_id=run, datasets=too_many)
    assert not RunDataset.objects.exists()
    tracker.post("runs/log-inputs", run_id=run, datasets=too_many[:1000])
    tracker.post("runs/log-inputs", code=400, run_id=run, datasets=[largest])  # as JSON 32 MiB and more
    largest["dataset"]["profile"] = "p" * 16_777_215
    tracker.post("runs/log-inputs", run_id=run, datasets=[largest])
    assert RunDataset.objects.count() == 1001


def test_the_datasets_of_a_run_have_so_much_text_in_all(monkeypatch, tracker, project):
    monkeypatch.setattr(datasets, "MAX_TEXT", 1000)
    run = tracker.new_run(project)
    tracker.post("runs/log-inputs", run_id=run, datasets=[dataset(profile="p" * 800)])
    before = everything()
    refused = tracker.post("runs/log-inputs", code=400, run_id=run, datasets=[dataset(name="b", schema="s" * 200)])
    assert "1000 characters" in refused["message"]
    assert everything() == before
    tracker.post("runs/log-inputs", run_id=run, datasets=[dataset(profile="p" * 700)])
    tracker.post("runs/log-inputs", run_id=tracker.new_run(project), datasets=[dataset(schema="s" * 200)])


def test_long_texts_beyond_a_total_are_left_out(monkeypatch, tracker, project):
    monkeypatch.setattr(shown, "MOST_TEXT", 100)
    run = tracker.new_run(project)
    told = [dataset(name=f"d{size}", profile="p" * size) for size in (101, 60, 50, 30)]
    tracker.post("runs/log-inputs", run_id=run, datasets=told)
    assert [len(one["dataset"].get("profile", "")) for one in inputs(tracker, run)] == [0, 0, 50, 30]
    assert [one["dataset"]["source"] for one in inputs(tracker, run)] == ['{"path": "wiki"}'] * 4


def test_lists_leave_long_texts_out(monkeypatch, tracker, project):
    monkeypatch.setattr(shown, "MOST_LISTED_TEXT", 5000)
    told = [dataset(name=f"d{size}", profile="p" * size) for size in (4097, 4096, 905, 904)]
    for _ in range(2):
        tracker.post("runs/log-inputs", run_id=tracker.new_run(project), datasets=told)
    for run in tracker.post("runs/search", experiment_ids=[project.uid])["runs"]:
        listed = run["inputs"]["dataset_inputs"]
        assert [len(one["dataset"].get("profile", "")) for one in listed] == [0, 0, 905, 904]
        assert listed[0]["tags"] == told[0]["tags"]


def test_telling_of_a_dataset_again_reads_no_texts_of_the_run(tracker, project):
    run = tracker.new_run(project)
    told = [dataset(name=f"d{number}", schema="s", profile="p") for number in range(3)]
    tracker.post("runs/log-inputs", run_id=run, datasets=told)
    with CaptureQueriesContext(connection) as captured:
        tracker.post("runs/log-inputs", run_id=run, datasets=[dataset(name="d1", profile="new")])
    read = [
        query["sql"] for query in captured if query["sql"].startswith("SELECT") and "runs_rundataset" in query["sql"]
    ]
    assert not [sql for sql in read if '"profile",' in sql or '"schema",' in sql]
    assert inputs(tracker, run)[1]["dataset"] == {**told[1]["dataset"], "profile": "new"}


def test_a_run_that_reads_a_logged_model(tracker, project):
    source = new_run(project, status="completed")
    model = logged_model(None, source)
    run = tracker.new_run(project)
    for _ in range(2):
        tracker.post("runs/log-inputs", run_id=run, models=[{"model_id": model.uid}])
    link = RunModel.objects.get()
    assert (link.run.uid, link.model, link.is_input) == (run, model, True)


def test_a_model_that_the_caller_does_not_see_is_not_there(tracker, project):
    run = tracker.new_run(project)
    foreign = logged_model(None, new_run(new_project(), status="completed"))
    before = everything()
    for uid in (foreign.uid, "m-none"):
        refused = tracker.post(
            "runs/log-inputs", code=404, run_id=run, datasets=[dataset()], models=[{"model_id": uid}]
        )
        assert refused["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    tracker.post("runs/log-inputs", code=400, run_id=run, models=[{}])
    assert everything() == before


def test_who_may_tell_what_a_run_reads(tracker, project, job_tracker, attempt):
    run = tracker.new_run(project)
    told = {"run_id": run, "datasets": [dataset()]}
    Tracker(new_user("eve")).post("runs/log-inputs", code=404, **told)
    Tracker(add_member(project, "vera", Role.VIEWER)).post("runs/log-inputs", code=403, **told)
    job_tracker.post("runs/log-inputs", code=404, **told)
    job_tracker.post("runs/log-inputs", **{**told, "run_id": attempt.run.uid})
    tracker.post("runs/delete", run_id=run)
    tracker.post("runs/log-inputs", code=400, **told)
    assert RunDataset.objects.get().run == attempt.run
