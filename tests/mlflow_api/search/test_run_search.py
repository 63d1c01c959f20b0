"""What runs/search sees: experiments, views, people and tokens."""

import contextlib
import json

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlflow_api.callers import Caller
from mlflow_api.errors import MlflowError
from mlflow_api.lookups import identify
from mlflow_api.search import pages
from mlflow_api.search import runs as searching
from mlflow_api.search.asked import ViewType
from mlflow_api.search.conditions import of_runs
from mlflow_api.search.reading import read_filter, read_order
from mlflow_api.search.vocabulary import RUNS
from projects.models import Role
from runs.attempts import tracking_token
from runs.models import Run, RunDataset, RunParameter
from runs.telemetry import newest
from tests.factories import add_member, new_project, new_run, new_user
from tests.mlflow_api.conftest import Tracker

pytestmark = pytest.mark.django_db


def ids(answer):
    return {run["info"]["run_id"] for run in answer.get("runs", [])}


def test_without_experiments_nothing_is_searched(tracker, runs):
    assert tracker.post("runs/search") == {}
    assert tracker.post("runs/search", experiment_ids=[]) == {}
    assert tracker.post("runs/search", experiment_ids=["proj_unknown", "17"]) == {}


def test_views_tell_deleted_runs_and_those_of_deleted_experiments_apart(tracker, project, person, runs):
    other = new_project(by=person, name="other")
    elsewhere = tracker.new_run(other)
    tracker.post("runs/update", run_id=elsewhere, status="FINISHED")
    tracker.post("runs/delete", run_id=runs["alpha"])
    tracker.post("experiments/delete", experiment_id=other.uid)
    asked = {"experiment_ids": [project.uid, other.uid]}
    active, deleted = set(runs.values()) - {runs["alpha"]}, {runs["alpha"], elsewhere}
    assert ids(tracker.post("runs/search", **asked)) == active
    assert ids(tracker.post("runs/search", **asked, run_view_type="ACTIVE_ONLY")) == active
    assert ids(tracker.post("runs/search", **asked, run_view_type="DELETED_ONLY")) == deleted
    assert ids(tracker.post("runs/search", **asked, run_view_type=3)) == active | deleted
    tracker.post("runs/search", code=400, **asked, run_view_type="SOME")


def test_a_deleted_run_is_found_by_nobody(tracker, project, runs):
    Run.objects.filter(uid=runs["alpha"]).update(deleted_at=timezone.now())
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL"):
        answer = tracker.post("runs/search", experiment_ids=[project.uid], run_view_type=view)
        assert runs["alpha"] not in ids(answer)


def test_people_find_the_runs_of_their_projects_alone(tracker, project, runs):
    stranger = Tracker(new_user("eve"))
    own = new_project(by=new_user("kim"), name="own")
    assert stranger.post("runs/search", experiment_ids=[project.uid], run_view_type="ALL") == {}
    assert ids(tracker.post("runs/search", experiment_ids=[project.uid, own.uid])) == set(runs.values())
    viewer = Tracker(add_member(project, "vera", Role.VIEWER))
    assert ids(viewer.post("runs/search", experiment_ids=[project.uid])) == set(runs.values())
    assert stranger.post("runs/search", experiment_ids=[project.uid], filter=f"run_id = '{runs['beta']}'") == {}


def test_a_jobs_token_finds_its_run_and_what_it_made(job_tracker, attempt, project, runs):
    assert ids(job_tracker.post("runs/search", experiment_ids=[project.uid])) == {attempt.run.uid}
    job_tracker.new_run(project)  # the job's own
    nested = job_tracker.new_run(project)
    for asked in ([project.uid], ["0"]):
        assert ids(job_tracker.post("runs/search", experiment_ids=asked)) == {attempt.run.uid, nested}
    text = f"tags.mlflow.parentRunId = '{attempt.run.uid}'"
    assert ids(job_tracker.post("runs/search", experiment_ids=["0"], filter=text)) == set()


def test_the_runs_that_a_job_made_are_no_parameters_of_a_query(job_tracker, attempt, project):
    caller = Caller(identify(tracking_token(attempt.uid)))
    job_tracker.new_run(project)
    before = searching._visible(caller, [project], ViewType.ACTIVE_ONLY).query.sql_with_params()
    job_tracker.new_run(project)
    assert searching._visible(caller, [project], ViewType.ACTIVE_ONLY).query.sql_with_params() == before


def test_children_are_found_by_their_parent(tracker, project, runs):
    tags = [{"key": "mlflow.parentRunId", "value": runs["alpha"]}]
    child = tracker.new_run(project, tags=tags)
    text = f"tags.mlflow.parentRunId = '{runs['alpha']}'"
    assert ids(tracker.post("runs/search", experiment_ids=[project.uid], filter=text)) == {child}


def test_the_default_experiment_is_searched_when_there_is_one(tracker):
    assert tracker.post("runs/search", experiment_ids=["0"]) == {}
    run = tracker.new_run("0")
    assert ids(tracker.post("runs/search", experiment_ids=["0"])) == {run}


def test_a_long_page_is_streamed_some_runs_at_a_time(monkeypatch, tracker, project, runs):
    asked = {"experiment_ids": [project.uid], "max_results": 3}
    whole = tracker.post("runs/search", **asked)
    monkeypatch.setattr(searching, "_SHOWN_AT_ONCE", 2)
    answer = tracker.call("POST", "/mlflow/api/2.0/mlflow/runs/search", asked)
    pieces = list(answer.streaming_content)
    assert [piece.count(b'"run_uuid"') for piece in pieces] == [0, 2, 1, 0]
    assert json.loads(b"".join(pieces)) == whole
    assert "next_page_token" in whole
    everything = tracker.post("runs/search", experiment_ids=[project.uid])
    assert [run["info"]["run_name"] for run in everything["runs"]] == ["delta", "gamma", "beta", "alpha"]


def test_what_was_logged_in_very_many_batches_is_shown(monkeypatch, tracker, project, runs):
    monkeypatch.setattr(newest, "_MERGED_AT_ONCE", 3)
    for name, step in [(name, step) for step in range(8) for name in ("gamma", "delta")]:
        tracker.post("runs/log-metric", run_id=runs[name], key="acc", value=step, timestamp=3, step=step)
    assert tracker.data(runs["gamma"], "metrics")["acc"] == 7
    assert ids(tracker.post("runs/search", experiment_ids=[project.uid], filter="metrics.acc = 7")) == {
        runs["gamma"],
        runs["delta"],
    }


def test_what_was_just_logged_is_found_and_shown(tracker, project, runs):
    tracker.post("runs/log-metric", run_id=runs["delta"], key="loss", value=7.5, timestamp=3, step=9)
    found = tracker.post("runs/search", experiment_ids=[project.uid], filter="metrics.loss > 7")["runs"]
    assert found[0]["data"]["metrics"] == [{"key": "loss", "value": 7.5, "timestamp": 3, "step": 9}]
    assert found[0] == tracker.run(runs["delta"])


@pytest.mark.parametrize("text", ["params.lr IS NOT NULL", "params.lr = 'x'", "datasets.name = 'wiki'"])
def test_runs_are_all_found_that_have_several_rows_each(monkeypatch, search, project, text):
    monkeypatch.setattr(pages, "FEW", 3)
    names = [f"run {number}" for number in range(3)]
    for name in names:
        run = new_run(project, name=name)
        for group in ("hyperparameters", "model_parameters", "params"):
            RunParameter.objects.create(run=run, group=group, name="lr", text="x")
        RunDataset.objects.bulk_create(RunDataset(run=run, name="wiki", digest=digest) for digest in "abc")
    assert sorted(search(text)) == names


WORDS = st.sampled_from(
    [
        "metrics",
        "params.",
        "tags.a",
        "run_id",
        "`",
        '"',
        "'",
        "''",
        ".",
        "IN",
        "(",
        ")",
        ",",
        "LIKE",
        "IS",
        "NOT",
        "NULL",
        "AND",
        "=",
        "!=",
        "<",
        ">=",
        "1e9",
        "-3",
        "'x'",
        "%",
        "\\",
        "é",
        "datasets.name",
        "start_time",
        "\t",
        "\u2028",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=60), st.lists(WORDS, max_size=14).map(" ".join), st.lists(WORDS, max_size=9).map("".join)
)


def read(text):
    for clause in read_filter(text, RUNS):
        assert of_runs(clause)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
@pytest.mark.parametrize("how", [read, lambda text: read_order(text, RUNS)])
def test_any_text_is_read_or_refused(how, text):
    with contextlib.suppress(MlflowError):
        how(text)


KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\0`"), min_size=1, max_size=20)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
CLAUSES = st.one_of(
    st.builds(
        "metrics.`{}` {} {}".format,
        KEYS,
        st.sampled_from(["=", "!=", "<", ">"]),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.builds(
        lambda entity, key, comparator, value: f"{entity}.`{key}` {comparator} '" + value.replace("'", "''") + "'",
        st.sampled_from(["params", "tags"]),
        KEYS,
        st.sampled_from(["=", "!=", "LIKE", "ILIKE"]),
        VALUES,
    ),
    st.builds(
        "{} {} {}".format,
        st.sampled_from(["start_time", "end_time"]),
        st.sampled_from(["=", "!=", "<", ">="]),
        st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CLAUSES, max_size=4).map(" AND ".join))
def test_any_filter_is_answered(tracker, project, runs, text):
    tracker.post("runs/search", experiment_ids=[project.uid], filter=text)
