"""Metric series over the API."""

import math

import pytest

from runs.telemetry.append import append_metrics
from tests.factories import new_attempt, run_path

pytestmark = pytest.mark.django_db


@pytest.fixture
def attempt(project):
    """A running attempt with 100 points of a loss and three of something else."""
    attempt = new_attempt(project=project)
    steps = list(range(100))
    loss = {"step": steps, "time": [1000 * step for step in steps], "value": [100.0 - step for step in steps]}
    odd = {"step": [0, 1, 2, 3], "time": [0, 0, 0, 0], "value": [math.nan, math.inf, -math.inf, 0.5]}
    append_metrics(attempt=attempt, sequence=1, columns={"loss": loss, "odd": odd})
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
        "keys=loss",
    ],
)
def test_a_query_that_is_not_understood_is_400(get, query):
    answer = get(f"?{query}")

    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()


def test_more_metrics_than_an_answer_holds_are_refused(get):
    assert get("?" + "&".join(f"key=k{number}" for number in range(101))).status_code == 400


def test_a_run_without_metrics_has_none(as_viewer, run):
    assert as_viewer.call("GET", f"{run_path(run)}/metrics").json() == {
        "x": "step",
        "series": {},
        "keys": [],
    }


def test_a_run_with_more_metrics_than_an_answer_holds_still_names_them_all(as_viewer, project):
    attempt = new_attempt(project=project)
    point = {"step": [1], "time": [1], "value": [1.0]}
    append_metrics(attempt=attempt, sequence=1, columns={f"k{number:03}": point for number in range(101)})

    shown = as_viewer.call("GET", f"{run_path(attempt.run)}/metrics").json()

    assert (len(shown["keys"]), len(shown["series"])) == (101, 100)
