"""Metric series over the API."""

import math
from datetime import UTC, datetime

import pytest

from runs.models import Attempt, Run
from runs.telemetry.append import append_metrics
from tests.factories import new_artifact, new_attempt, new_project, new_run, run_path

pytestmark = pytest.mark.django_db


@pytest.fixture
def attempt(project):
    """A running attempt with 100 points of a loss and three of something else."""
    attempt = new_attempt(project=project)
    steps = list(range(100))
    loss = {"step": steps, "time": [1000 * step for step in steps], "value": [100.0 - step for step in steps]}
    odd = {"step": [0, 1, 2, 3], "time": [0, 0, 0, 0], "value": [math.nan, math.inf, -math.inf, 0.5]}
    append_metrics(attempt=attempt, sequence=1, columns={"loss": loss, "odd": odd})
    Run.objects.filter(pk=attempt.run_id).update(started_at=datetime(1970, 1, 1, tzinfo=UTC))
    return attempt


@pytest.fixture
def get(as_viewer, attempt):
    return lambda query="": as_viewer.call("GET", f"{run_path(attempt.run)}/metrics{query}")


def test_all_metrics_are_given_when_none_is_named(get):
    shown = get().json()

    assert (list(shown["series"]), shown["keys"]) == (["loss", "odd"], ["loss", "odd"])
    assert shown["series"]["loss"]["value"][:2] == [100.0, 99.0]
    assert (shown["series"]["loss"]["total"], shown["series"]["loss"]["thinned"]) == (100, False)


def test_what_json_has_no_number_for_is_null_and_named(get):
    odd = get("?key=odd").json()["series"]["odd"]

    assert odd["value"] == [None, None, None, 0.5]
    assert odd["special"] == {"0": "NaN", "1": "Infinity", "2": "-Infinity"}


def test_a_metric_that_is_not_there_is_left_out(get):
    shown = get("?key=loss&key=none-such&key=%00").json()

    assert (list(shown["series"]), shown["keys"]) == (["loss"], ["loss", "odd"])


@pytest.mark.parametrize(
    ("query", "steps"),
    [
        ("first_step=98", [98, 99]),
        ("last_step=1", [0, 1]),
        ("first_step=5&last_step=5", [5]),
        ("first_step=-9223372036854775808&last_step=0", [0]),
        ("first_step=9223372036854775807", []),
        ("start_time=1970-01-01T00:01:38Z", [98, 99]),
        ("end_time=1970-01-01T00:00:02Z", [0, 1]),
        ("end_time=1970-01-01T00:00:02.0001Z", [0, 1, 2]),
        ("first_step=2&last_step=1", []),
        ("start_relative=98000", [98, 99]),
        ("end_relative=2000", [0, 1]),
        ("start_relative=-5&end_relative=1", [0]),
        ("start_relative=3000&end_relative=3000", []),
        ("start_relative=3000&end_time=1970-01-01T00:00:05Z&last_step=3", [3]),
    ],
)
def test_a_window_is_cut_out(get, query, steps):
    assert get(f"?key=loss&{query}").json()["series"]["loss"]["step"] == steps


def test_a_series_is_thinned_to_the_points_asked_for_and_keeps_its_ends(get):
    loss = get("?key=loss&points=10").json()["series"]["loss"]

    assert len(loss["step"]) <= 10
    assert (loss["step"][0], loss["step"][-1], loss["total"], loss["thinned"]) == (0, 99, 100, True)


@pytest.mark.parametrize(
    "query",
    [
        "points=1",
        "points=10001",
        "points=x",
        "first_step=x",
        "first_step=9223372036854775808",
        "last_step=1.5",
        "start_time=soon",
        "hidden=maybe",
        "stitched=1",
        "x=loss",
        "start_relative=1.5",
        "end_relative=9223372036854775808",
        "keys=loss",
    ],
)
def test_a_query_that_is_not_understood_is_400(get, query):
    answer = get(f"?{query}")

    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()


@pytest.mark.parametrize("query", ["end_relative=-9223372036854775808", "start_relative=9223372036854775807"])
def test_relative_times_that_no_column_holds_choose_nothing(get, query):
    assert get(f"?key=loss&{query}").json()["series"]["loss"]["total"] == 0


def test_a_chart_over_relative_time_carries_it(get):
    shown = get("?key=loss&x=relative&points=5").json()

    loss = shown["series"]["loss"]
    assert (shown["x"], loss["relative"][0], loss["relative"][-1]) == ("relative", 0, 99_000)
    assert loss["relative"] == loss["time"]


@pytest.fixture
def late(attempt):
    """A point of a step in the middle that came last."""
    append_metrics(attempt=attempt, sequence=2, columns={"loss": {"step": [5], "time": [200_000], "value": [1.0]}})


@pytest.mark.parametrize(("x", "steps"), [("step", [98, 99]), ("time", [99, 5]), ("relative", [99, 5])])
def test_the_order_of_points_follows_x(get, late, x, steps):
    assert get(f"?key=loss&x={x}").json()["series"]["loss"]["step"][-2:] == steps


@pytest.fixture
def resumed(project, attempt):
    """A run resumed at step 50 of the first one, with two points of its own."""
    checkpoint = new_artifact(attempt.run, step=50)
    child = new_attempt(new_run(project))
    Run.objects.filter(pk=child.run_id).update(resumed_from=checkpoint)
    Attempt.objects.filter(pk=child.pk).update(resume_from=checkpoint)
    points = {"step": [51, 52], "time": [1_000_000, 2_000_000], "value": [1.0, 0.5]}
    append_metrics(attempt=child, sequence=1, columns={"loss": points})
    return child.run


def test_a_stitched_series_begins_with_what_the_run_was_resumed_from(as_viewer, attempt, resumed):
    shown = as_viewer.call("GET", f"{run_path(resumed)}/metrics?key=loss&stitched=true").json()

    loss = shown["series"]["loss"]
    assert shown["chain"] == [attempt.run.uid, resumed.uid]
    assert loss["step"] == [*range(51), 51, 52]
    assert (loss["run"], set(loss["attempt"])) == ([0] * 51 + [1, 1], {1})
    assert shown["keys"] == ["loss", "odd"]


def test_hidden_steps_of_a_stitched_series_are_shown_when_asked_for(as_viewer, resumed):
    shown = as_viewer.call("GET", f"{run_path(resumed)}/metrics?key=loss&stitched=true&hidden=true").json()

    assert shown["series"]["loss"]["total"] == 102


def test_a_resumed_run_is_shown_alone_unless_stitched(as_viewer, resumed):
    shown = as_viewer.call("GET", f"{run_path(resumed)}/metrics?key=loss").json()

    assert (shown["series"]["loss"]["step"], "chain" in shown, "run" in shown["series"]["loss"]) == (
        [51, 52],
        False,
        False,
    )


def test_an_ancestor_that_the_caller_may_not_see_is_not_shown(as_viewer, attempt, resumed):
    Run.objects.filter(pk=attempt.run_id).update(project=new_project())

    shown = as_viewer.call("GET", f"{run_path(resumed)}/metrics?key=loss&stitched=true").json()

    assert (shown["chain"], shown["series"]["loss"]["step"]) == ([resumed.uid], [51, 52])


def test_more_points_than_an_answer_holds_are_refused(get):
    keys = "&".join(f"key=k{number}" for number in range(21))

    assert get(f"?points=10000&{keys}").json()["points"]


def test_a_chart_takes_six_queries(as_viewer, attempt, django_assert_num_queries):
    path = f"{run_path(attempt.run)}/metrics?key=loss&key=odd&points=10"

    with django_assert_num_queries(6):
        as_viewer.call("GET", path)


def test_more_metrics_than_an_answer_holds_are_refused(get):
    assert get("?" + "&".join(f"key=k{number}" for number in range(101))).status_code == 400


def test_a_run_without_metrics_has_none(as_viewer, run):
    assert as_viewer.call("GET", f"{run_path(run)}/metrics").json() == {
        "x": "step",
        "series": {},
        "keys": [],
        "removed_at": None,
    }


def test_a_run_with_more_metrics_than_an_answer_holds_still_names_them_all(as_viewer, project):
    attempt = new_attempt(project=project)
    point = {"step": [1], "time": [1], "value": [1.0]}
    append_metrics(attempt=attempt, sequence=1, columns={f"k{number:03}": point for number in range(101)})

    shown = as_viewer.call("GET", f"{run_path(attempt.run)}/metrics").json()

    assert (len(shown["keys"]), len(shown["series"])) == (101, 100)
