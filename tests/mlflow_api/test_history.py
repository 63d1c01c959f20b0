"""The history of metrics as clients read it."""

import pytest
from django.utils import timezone

from mlflow_api import history as endpoint
from runs.models import Run
from runs.telemetry import history
from runs.telemetry.fold import fold_run
from runs.telemetry.removal import mark_removed
from tests.factories import new_user
from tests.runs.telemetry.builders import new_attempt
from tests.runs.telemetry.model import small_chunks
from trainhub.errors import Removed

from .conftest import Tracker

pytestmark = pytest.mark.django_db


def points(answer):
    return [(one["timestamp"], one["step"], one["value"]) for one in answer.get("metrics", [])]


@pytest.fixture
def run(tracker, project):
    return tracker.new_run(project)


@pytest.fixture
def log(tracker, run):
    def write(*some, key="loss"):
        metrics = [{"key": key, "timestamp": time, "step": step, "value": value} for time, step, value in some]
        tracker.post("runs/log-batch", run_id=run, metrics=metrics)

    return write


def fold(run_id, **how):
    fold_run(run_id=Run.objects.get(uid=run_id).pk, everything=True, **how)


SOME = [(5, 1, 0.5), (5, 1, 0.25), (3, 9, -1.0), (5, 0, "NaN"), (5, 0, "-Infinity"), (7, -2, "Infinity"), (5, 1, "NaN")]
ORDERED = [
    (3, 9, -1.0), (5, 0, "NaN"), (5, 0, "-Infinity"), (5, 1, "NaN"), (5, 1, 0.25), (5, 1, 0.5), (7, -2, "Infinity")
]  # fmt: skip


def test_points_come_by_time_step_and_value_folded_or_not(tracker, run, log):
    log(*SOME)
    log((1, 1, 1.0), key="other")
    assert points(tracker.get("metrics/get-history", run_id=run, metric_key="loss")) == ORDERED
    fold(run)
    assert points(tracker.get("metrics/get-history", run_uuid=run, metric_key="loss")) == ORDERED


def test_repeated_points_are_there_once(tracker, run, log):
    log(*SOME, *SOME)
    fold(run)
    log(*reversed(SOME))
    log(*SOME)
    assert points(tracker.get("metrics/get-history", run_id=run, metric_key="loss")) == ORDERED


@pytest.mark.parametrize("size", [1, 2, 3, 5, 29, 30, 31, 100])
def test_pages_have_every_point_once(tracker, run, log, size):
    with small_chunks():
        for start in range(0, 30, 6):
            log(*[((number * 7) % 11, number, float(number % 3)) for number in range(start, start + 6)])
            if start < 20:
                fold(run)
        everything = points(tracker.get("metrics/get-history", run_id=run, metric_key="loss"))
        token, found = "", []
        while not found or token:
            answer = tracker.get(
                "metrics/get-history", run_id=run, metric_key="loss", max_results=size, page_token=token
            )
            assert len(answer["metrics"]) <= size
            found += points(answer)
            token = answer.get("next_page_token", "")
    assert found == everything == sorted(everything)
    assert len(found) == 30


def test_a_whole_history_is_streamed_a_page_at_a_time(monkeypatch, tracker, run, log):
    monkeypatch.setattr(history, "PAGE_POINTS", 4)
    monkeypatch.setattr(endpoint, "PAGE_POINTS", 4)
    log(*[(number, number, 0.5) for number in range(9)])
    answer = tracker.call("GET", f"/mlflow/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=loss")
    assert [piece.count(b"timestamp") for piece in answer.streaming_content] == [0, 4, 4, 1, 0]
    for count in (3, 4, 5, 8, 9):
        log(*[(number, number, 0.5) for number in range(count)], key=f"m{count}")
        found = tracker.get("metrics/get-history", run_id=run, metric_key=f"m{count}")
        assert points(found) == [(number, number, 0.5) for number in range(count)]


def test_a_history_that_is_removed_while_it_is_sent_breaks_off(monkeypatch, tracker, run, log):
    monkeypatch.setattr(history, "PAGE_POINTS", 4)
    monkeypatch.setattr(endpoint, "PAGE_POINTS", 4)
    log(*[(number, number, 0.5) for number in range(9)])
    answer = tracker.call("GET", f"/mlflow/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=loss")
    mark_removed(run_id=Run.objects.get(uid=run).pk, at=timezone.now(), metrics=True)
    with pytest.raises(Removed):
        answer.getvalue()


def test_what_nobody_has_is_empty(tracker, run, log, project):
    log((1, 1, 1.0))
    assert tracker.get("metrics/get-history", run_id=run, metric_key="none") == {}
    assert tracker.get("metrics/get-history", run_id="run_unknown", metric_key="loss") == {}
    stranger = Tracker(new_user("eve"))
    assert stranger.get("metrics/get-history", run_id=run, metric_key="loss") == {}
    assert stranger.get("metrics/get-history-bulk-interval", run_ids=[run], metric_key="loss") == {}


def test_a_history_that_was_removed_is_empty(tracker, run, log):
    log((1, 1, 1.0))
    mark_removed(run_id=Run.objects.get(uid=run).pk, at=timezone.now(), metrics=True)
    assert tracker.get("metrics/get-history", run_id=run, metric_key="loss") == {}


def test_points_of_all_attempts_are_there(job_tracker, tracker, attempt):
    job_tracker.post("runs/log-metric", run_id=attempt.run.uid, key="loss", value=1, timestamp=1, step=5)
    fold(attempt.run.uid)
    new_attempt(attempt.run, number=2)
    tracker.post("runs/log-metric", run_id=attempt.run.uid, key="loss", value=2, timestamp=2, step=3)
    found = tracker.get("metrics/get-history", run_id=attempt.run.uid, metric_key="loss")
    assert points(found) == [(1, 5, 1.0), (2, 3, 2.0)]
    found = tracker.get("metrics/get-history-bulk-interval", run_ids=attempt.run.uid, metric_key="loss")
    assert points(found) == [(2, 3, 2.0), (1, 5, 1.0)]


@pytest.mark.parametrize(
    "asked",
    [
        {"metric_key": ""},
        {"max_results": 0},
        {"max_results": -1},
        {"max_results": "many"},
        {"page_token": "%"},
        {"page_token": "bnVsbA"},
        {"page_token": "WzEsMiwiYSJd"},
        {"page_token": "WzEsMiwtMSwxXQ"},
    ],
)
def test_bad_requests_are_refused(tracker, run, asked):
    refused = tracker.get("metrics/get-history", code=400, **{"run_id": run, "metric_key": "loss", **asked})
    assert refused["error_code"] == "INVALID_PARAMETER_VALUE"


def test_bulk_history_has_first_and_last_step_of_each_run(tracker, project, run, log):
    other = tracker.new_run(project)
    log(*[(number, number, float(number % 17)) for number in range(500)])
    tracker.post("runs/log-metric", run_id=other, key="loss", value="NaN", timestamp=1, step=3)
    asked = {"run_ids": [other, run, "run_unknown", other], "metric_key": "loss"}
    found = tracker.get("metrics/get-history-bulk-interval", **asked, max_results=20)["metrics"]
    assert found[0] == {"key": "loss", "value": "NaN", "timestamp": 1, "step": 3, "run_id": other}
    steps = [one["step"] for one in found if one["run_id"] == run]
    assert (steps[0], steps[-1], steps == sorted(steps), len(steps) <= 20) == (0, 499, True, True)
    inside = tracker.get("metrics/get-history-bulk-interval", **asked, start_step=10, end_step=12)["metrics"]
    assert [one["step"] for one in inside] == [10, 11, 12]


@pytest.mark.parametrize(
    "asked",
    [
        {"run_ids": []},
        {"run_ids": [f"run_{number}" for number in range(101)]},
        {"max_results": 2501},
        {"max_results": 0},
        {"start_step": 5},
        {"start_step": 5, "end_step": 4},
        {"metric_key": ""},
    ],
)
def test_bad_bulk_requests_are_refused(tracker, run, asked):
    tracker.get("metrics/get-history-bulk-interval", code=400, **{"run_ids": [run], "metric_key": "loss", **asked})
