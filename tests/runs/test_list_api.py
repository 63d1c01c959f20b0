"""Lists of runs, one run, and what they cost."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from projects.models import Project
from runs.models import Run, RunMetric
from tests.factories import new_artifact, new_attempt, new_project, new_run, new_user, run_path
from tests.runs.telemetry.builders import show_metrics

pytestmark = pytest.mark.django_db


@pytest.fixture
def three(project):
    """Runs that differ in what can be filtered."""
    return [
        new_run(project, name="alpha", description="with care", priority=5),
        new_run(project, name="beta", recipe="tiny-gpt"),
        new_run(project, name="gamma", status="cancelled", by=new_user("gil")),
    ]


def names(answer):
    return [item["name"] for item in answer.json()["items"]]


def test_runs_are_listed_newest_first_with_the_total(as_viewer, project, three):
    answer = as_viewer.call("GET", f"/projects/{project.uid}/runs")

    assert names(answer) == ["gamma", "beta", "alpha"]
    assert {key: answer.json()[key] for key in ("page", "page_size", "total")} == {
        "page": 1,
        "page_size": 50,
        "total": 3,
    }


def test_all_runs_are_those_of_the_callers_projects(as_viewer, as_stranger, as_operator, three, stranger):
    new_run(Project.objects.get(name="Elsewhere"), name="hers")

    assert names(as_viewer.call("GET", "/runs")) == ["gamma", "beta", "alpha"]
    assert names(as_stranger.call("GET", "/runs")) == ["hers"]
    assert names(as_operator.call("GET", "/runs")) == ["hers", "gamma", "beta", "alpha"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=cancelled", ["gamma"]),
        ("status=cancelled&status=queued", ["gamma", "beta", "alpha"]),
        ("recipe=tiny-gpt", ["beta"]),
        ("executor=moon", []),
        ("owner=gil", ["gamma"]),
        ("q=ALPH", ["alpha"]),
        ("q=care", ["alpha"]),
        ("q=%25", []),
        ("q=_", []),
        ("created_after=2000-01-01", ["gamma", "beta", "alpha"]),
        ("created_before=2000-01-01T00:00:00Z", []),
        ("order=name", ["alpha", "beta", "gamma"]),
        ("order=-name", ["gamma", "beta", "alpha"]),
        ("order=-priority", ["alpha", "gamma", "beta"]),
        ("order=progress", ["gamma", "beta", "alpha"]),
        ("order=completed_at", ["gamma", "beta", "alpha"]),
        ("order=-completed_at", ["gamma", "beta", "alpha"]),
        ("order=created_at&page_size=1&page=2", ["beta"]),
        ("page=1000000000000", []),
        ("q=", ["gamma", "beta", "alpha"]),
    ],
)
@pytest.mark.parametrize("path", ["/runs", "/projects/{}/runs"])
def test_runs_are_filtered_ordered_and_paged(as_viewer, project, three, path, query, expected):
    assert names(as_viewer.call("GET", f"{path.format(project.uid)}?{query}")) == expected


def test_runs_are_found_by_their_id_and_by_their_project(as_viewer, project, three):
    new_run(new_project())

    assert names(as_viewer.call("GET", f"/runs?q={three[1].uid}")) == ["beta"]
    assert names(as_viewer.call("GET", f"/runs?project={project.uid}")) == ["gamma", "beta", "alpha"]
    assert names(as_viewer.call("GET", "/runs?project=proj_other")) == []


@pytest.mark.parametrize(
    "query",
    [
        "status=lost",
        "status=",
        "order=created_by__password",
        "order=id",
        "order=name,-",
        "created_after=yesterday",
        "created_after=2024-13-01",
        "created_before=0001-01-01T00:00:00%2B14:00",
        "created_before=9999-12-31T23:59:59-14:00",
        "recipe=%00",
        "q=" + "x" * 201,
        "page=0",
        "page=x",
        "page_size=501",
        "created_by__password__startswith=a",
        "format=api",
    ],
)
def test_a_query_that_is_not_understood_is_400(as_viewer, three, query):
    answer = as_viewer.call("GET", f"/runs?{query}")

    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()


def test_pages_hold_every_run_once_although_all_are_equal_in_order(as_viewer, project):
    made = {new_run(project, name=f"run {number}").name for number in range(7)}

    pages = [names(as_viewer.call("GET", f"/runs?order=progress&page_size=2&page={page}")) for page in range(1, 5)]

    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert {name for page in pages for name in page} == made


def test_a_run_shows_newest_metrics_but_not_the_systems(as_viewer, project):
    attempt = new_attempt(project=project)
    columns = {"step": [1, 2], "time": [1, 2], "value": [2.0, 1.5]}
    show_metrics(attempt=attempt, sequence=1, columns={"loss": columns, "system/cpu": columns})

    shown = as_viewer.call("GET", run_path(attempt.run)).json()

    assert shown["metrics"] == {"loss": 1.5}
    assert (shown["status"], shown["started_at"] is not None) == ("running", True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_metric_that_json_has_no_number_for_is_null(as_viewer, project, value):
    attempt = new_attempt(project=project)
    show_metrics(attempt=attempt, sequence=1, columns={"loss": {"step": [1], "time": [1], "value": [value]}})

    answers = [as_viewer.call("GET", path) for path in (run_path(attempt.run), "/runs", f"/projects/{project.uid}")]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].json()["metrics"] == {"loss": None}


def test_a_run_shows_its_evidence(as_viewer, project):
    attempt = new_attempt(project=project)

    evidence = as_viewer.call("GET", run_path(attempt.run)).json()["evidence"]

    assert (evidence["host"], evidence["attempt"], evidence["phase"]) == ("node-1", 1, "training")
    assert 0 <= evidence["age_seconds"] < 30
    assert evidence["is_unreachable"] is False


def test_a_silent_node_is_shown_as_unreachable_and_the_status_stays(as_viewer, project, settings):
    settings.UNREACHABLE_AFTER_SECONDS = 0
    attempt = new_attempt(project=project)

    shown = as_viewer.call("GET", run_path(attempt.run)).json()

    assert (shown["status"], shown["is_unreachable"], shown["evidence"]["is_unreachable"]) == ("running", True, True)


@pytest.mark.parametrize(
    ("status", "reason", "text"),
    [
        ("completed", "finished", "The trainer finished."),
        ("failed", "trainer_failed", "The trainer ended with an error. Exit code 1."),
        ("cancelled", "cancelled", "Cancelled on request."),
    ],
)
def test_an_ended_run_says_why(as_viewer, project, status, reason, text):
    run = new_run(project, status=status)

    shown = as_viewer.call("GET", run_path(run)).json()

    assert (shown["status"], shown["reason"], shown["reason_text"]) == (status, reason, text)
    assert (shown["allowed"], shown["completed_at"] is not None) == ([], True)


def queries_of(caller, path):
    with CaptureQueriesContext(connection) as captured:
        assert caller.call("GET", path).status_code == 200
    return len(captured)


def fill(project, count):
    """Add runs with a metric and a checkpoint each."""
    for number in range(count):
        run = new_run(project, name=f"run {number}", status="completed")
        new_artifact(run, files={"a": b"x"})
        RunMetric.objects.create(run=run, key="loss", step=1, time=1, value=1.0)


def add_checkpoints(run, count):
    for number in range(count):
        new_artifact(run, name=f"more {number}", files={"a": b"x"})


@pytest.mark.parametrize("path", ["/runs", "/projects", "/projects/{project}", "/projects/{project}/runs", "{run}"])
def test_the_number_of_queries_does_not_grow_with_the_rows(as_viewer, project, path):
    fill(project, 3)
    run = Run.objects.filter(project=project).first()
    place = path.format(project=project.uid, run=run_path(run))
    few = queries_of(as_viewer, place)
    fill(project, 9)
    add_checkpoints(run, 12)

    assert queries_of(as_viewer, place) == few < 15
