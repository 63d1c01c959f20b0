"""Metric series of several runs in one answer."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs.models import Run
from runs.telemetry.append import append_metrics
from tests.factories import Caller, new_attempt, new_project, new_run, run_path

pytestmark = pytest.mark.django_db


def reporting_run(project, *, keys=("loss",), last=10):
    attempt = new_attempt(new_run(project))
    steps = list(range(last + 1))
    points = {"step": steps, "time": [1000 * step for step in steps], "value": [1.0 * last - step for step in steps]}
    append_metrics(attempt=attempt, sequence=1, columns=dict.fromkeys(keys, points))
    return attempt.run


@pytest.fixture
def runs(project):
    return [reporting_run(project, keys=("loss", "lr")), reporting_run(project, last=20)]


@pytest.fixture
def get(as_viewer):
    return lambda query: as_viewer.call("GET", f"/metrics?{query}")


def named(runs):
    return "&".join(f"run={run.uid}" for run in runs)


def test_each_run_has_the_metrics_asked_for_that_it_has(get, runs):
    shown = get(f"{named(runs)}&key=loss&key=lr").json()

    assert list(shown["runs"]) == [run.uid for run in runs]
    assert [list(one["series"]) for one in shown["runs"].values()] == [["loss", "lr"], ["loss"]]
    assert [one["series"]["loss"]["step"][-1] for one in shown["runs"].values()] == [10, 20]
    assert [one["keys"] for one in shown["runs"].values()] == [["loss", "lr"], ["loss"]]


def test_a_run_is_shown_as_in_its_own_answer(get, as_viewer, runs):
    query = "key=loss&points=5&first_step=3&x=time"

    alone = as_viewer.call("GET", f"{run_path(runs[0])}/metrics?{query}").json()

    assert {"x": alone.pop("x"), **get(f"{named(runs[:1])}&{query}").json()["runs"][runs[0].uid]} == {
        "x": "time",
        **alone,
    }


def test_runs_of_several_projects_stand_side_by_side(operator, runs):
    other = reporting_run(new_project())

    shown = Caller(operator).call("GET", f"/metrics?{named([*runs, other])}&key=loss").json()

    assert len(shown["runs"]) == 3


def test_a_run_that_is_named_twice_is_given_once(get, runs):
    assert len(get(f"{named([*runs, *runs])}&key=loss&key=loss").json()["runs"]) == 2


@pytest.mark.parametrize("uid", ["run_0", "nothing", "%00", "", "é", "run_'--"])
def test_a_run_that_is_not_there_is_404(get, runs, uid):
    answer = get(f"{named(runs)}&run={uid}&key=loss")

    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such run.", "code": "not_found"})


def test_a_run_that_the_caller_may_not_see_is_as_one_that_is_not_there(get, runs):
    other = reporting_run(new_project())

    answer = get(f"{named([*runs, other])}&key=loss")

    assert (answer.status_code, other.uid in answer.content.decode()) == (404, False)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("key=loss", "run"),
        ("run=run_1", "key"),
        ("&".join(f"run=run_{number}" for number in range(51)) + "&key=loss", "run"),
        ("&".join(f"run=run_{number}" for number in range(11)) + "&key=loss&stitched=true", "run"),
        ("run=run_1&" + "&".join(f"key=k{number}" for number in range(101)), "key"),
        ("run=run_1&run=run_2&run=run_3&" + "&".join(f"key=k{number}" for number in range(67)), "key"),
        ("run=run_1&run=run_2&run=run_3&key=a&key=b&key=c&key=d&key=e&key=f&key=g&points=10000", "points"),
        ("run=run_1&key=loss&x=value", "x"),
        ("run=run_1&key=loss&stitched=yes", "stitched"),
        ("run=run_1&key=loss&page=2", "page"),
    ],
)
def test_a_query_that_is_too_large_or_not_understood_is_400(get, query, name):
    answer = get(query)

    assert (answer.status_code, list(answer.json())) == (400, ["code", name])


def test_queries_do_not_grow_with_runs_and_metrics(get, project, runs):
    with CaptureQueriesContext(connection) as few:
        get(f"{named(runs[:1])}&key=loss")
    more = [reporting_run(project, keys=("loss", "lr", "accuracy")) for _ in range(8)]

    with CaptureQueriesContext(connection) as many:
        get(f"{named([*runs, *more])}&key=loss&key=lr&key=accuracy")

    assert len(many) == len(few)


def test_stitched_series_of_two_runs_that_share_an_ancestor(get, project, runs):
    first, second = reporting_run(project, last=30), reporting_run(project, last=40)
    checkpoint = runs[0].artifacts.create(uid="ckpt_1", type="checkpoint", name="c", source="c", step=4, path="x")
    Run.objects.filter(pk__in=[first.pk, second.pk]).update(resumed_from=checkpoint)
    for run in (first, second):
        run.attempts.update(resume_from=checkpoint)

    shown = get(f"{named([first, second])}&key=loss&stitched=true&first_step=4&last_step=5").json()

    assert [one["chain"] for one in shown["runs"].values()] == [
        [runs[0].uid, first.uid],
        [runs[0].uid, second.uid],
    ]
    assert [one["series"]["loss"]["run"] for one in shown["runs"].values()] == [[0, 1, 1], [0, 1, 1]]
