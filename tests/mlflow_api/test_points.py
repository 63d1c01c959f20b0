"""Points on the quick way: read as columns, to runs of which the key alone is known; refused as on the long way."""

import pytest
from django.utils import timezone

from mlflow_api.columns import read_columns
from mlflow_api.errors import MlflowError
from mlflow_api.fields import Fields
from mlflow_api.logging import read_metrics
from projects.models import ApiToken, Role
from projects.services import archive_project
from runs.attempts import tracking_token
from runs.models import Attempt, MetricBatch, Run, TelemetryCounter
from runs.telemetry.removal import mark_removed
from tests.factories import add_member, new_attempt, new_user
from trainhub.errors import InvalidInput

from .conftest import Tracker

POINT = {"key": "loss", "value": 0.5, "timestamp": 1_700_000_000_000, "step": 3}


def stored(run_id: str) -> int:
    counter = TelemetryCounter.objects.get(run__uid=run_id)
    return counter.metric_points


def test_plain_points_become_columns_by_key():
    metrics = [{**POINT, "step": step, "value": step + 0.5, "key": f"k{step % 2}"} for step in range(4)]

    assert read_columns(metrics) == {
        "k0": {"step": [0, 2], "time": [1_700_000_000_000] * 2, "value": [0.5, 2.5]},
        "k1": {"step": [1, 3], "time": [1_700_000_000_000] * 2, "value": [1.5, 3.5]},
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"value": "0.5"}, ("value", 0.5)),
        ({"value": "Infinity"}, ("value", float("inf"))),
        ({"timestamp": "1700000000001"}, ("time", 1_700_000_000_001)),
        ({"step": 4.0}, ("step", 4)),
        ({"step": None}, ("step", 0)),
        ({"step": "-4"}, ("step", -4)),
    ],
)
def test_numbers_may_be_written_otherwise(written, read):
    column, value = read
    columns, _ = read_metrics(Fields({"metrics": [POINT, {**POINT, **written}]}))

    assert columns["loss"][column][1] == value


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "../loss"},
        {"key": ""},
        {"key": 5},
        {"key": "k" * 251},
        {"value": True},
        {"value": None},
        {"value": "much"},
        {"timestamp": -1},
        {"timestamp": 10**15},
        {"timestamp": None},
        {"step": 2**63},
        {"step": True},
    ],
)
def test_one_wrong_point_refuses_the_batch(wrong):
    metrics = [POINT, {**POINT, **wrong}]

    assert read_columns(metrics) is None
    with pytest.raises((MlflowError, InvalidInput)):
        read_metrics(Fields({"metrics": metrics}))


def test_a_point_of_a_model_is_read_on_its_own():
    metrics = [POINT, {**POINT, "model_id": "m-1"}]

    assert read_columns(metrics) is None
    points, of_models = read_metrics(Fields({"metrics": metrics}))
    assert points["loss"]["value"] == [0.5, 0.5]
    assert of_models == [("m-1", ("loss", 0.5, POINT["timestamp"], POINT["step"]))]


@pytest.mark.parametrize("metrics", [[POINT, 5], {"loss": 1}, "loss"])
def test_what_is_no_list_of_objects_is_refused(metrics):
    with pytest.raises(MlflowError):
        read_metrics(Fields({"metrics": metrics}))


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.EDITOR, Role.ADMIN])
def test_editors_write_points(tracker, project, role):
    run = tracker.new_run(project)
    other = add_member(project, "jo", role)

    Tracker(other).post("runs/log-metric", run_id=run, **POINT)
    Tracker(other).post("runs/log-batch", run_id=run, metrics=[POINT, {**POINT, "step": 4}])

    assert stored(run) == 3


@pytest.mark.django_db
def test_operators_write_points_everywhere(tracker, project):
    run = tracker.new_run(project)
    Tracker(new_user("op", is_staff=True)).post("runs/log-metric", run_id=run, **POINT)

    assert stored(run) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "call", [{"route": "runs/log-metric", **POINT}, {"route": "runs/log-batch", "metrics": [POINT]}]
)
def test_who_may_not_write_stores_no_point(tracker, project, call):
    run, viewer = tracker.new_run(project), add_member(project, "ida", Role.VIEWER)

    Tracker(viewer).post(code=403, run_id=run, **call)
    Tracker(new_user("sam")).post(code=404, run_id=run, **call)
    tracker.post("runs/delete", run_id=run)
    tracker.post(code=400, run_id=run, **call)
    tracker.post("runs/restore", run_id=run)
    archive_project(project=project)
    tracker.post(code=400, run_id=run, **call)
    Run.objects.filter(uid=run).update(deleted_at="2026-01-01T00:00Z")
    tracker.post(code=404, run_id=run, **call)

    assert not MetricBatch.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes", [{"expiry": "2026-01-01T00:00Z"}, {"user__is_active": False}], ids=["expired", "left"]
)
def test_a_token_that_is_over_writes_no_point(tracker, project, person, changes):
    run = tracker.new_run(project)
    if "expiry" in changes:
        ApiToken.objects.update(**changes)
    else:
        person.is_active = False
        person.save()

    tracker.post("runs/log-metric", code=401, run_id=run, **POINT)

    assert stored(run) == 0


@pytest.mark.django_db
def test_a_job_writes_to_its_run_and_to_what_it_made_under_its_attempt(job_tracker, attempt):
    Attempt.objects.filter(pk=attempt.pk).update(number=3)
    job_tracker.post("runs/create", experiment_id=attempt.run.project.uid)  # the first one is its own
    nested = job_tracker.new_run(attempt.run.project, tags=[{"key": "mlflow.parentRunId", "value": attempt.run.uid}])
    for run in (attempt.run.uid, nested):
        job_tracker.post("runs/log-metric", run_id=run, **POINT)

    numbers = MetricBatch.objects.values_list("run__uid", "attempt_number")
    assert dict(numbers) == {attempt.run.uid: 3, nested: 1}


@pytest.mark.django_db
def test_a_person_writes_to_a_managed_run_under_its_newest_attempt(tracker, attempt):
    Attempt.objects.filter(pk=attempt.pk).update(number=4)
    tracker.post("runs/log-metric", run_id=attempt.run.uid, **POINT)

    assert MetricBatch.objects.get().attempt_number == 4


@pytest.mark.django_db
def test_a_job_writes_to_no_other_run(job_tracker, tracker, project):
    other, stranger = tracker.new_run(project), Tracker(token=tracking_token(new_attempt(project=project).uid))

    job_tracker.post("runs/log-metric", code=404, run_id=other, **POINT)
    stranger.post("runs/log-batch", code=404, run_id=other, metrics=[POINT])

    assert not MetricBatch.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "call",
    [
        {"route": "runs/log-metric", **POINT},
        {"route": "runs/log-batch", "metrics": [POINT]},
        {"route": "runs/log-batch", "metrics": [POINT], "tags": [{"key": "team", "value": "nlp"}]},
    ],
)
def test_points_for_a_history_that_was_removed_are_refused_and_not_lost_silently(tracker, project, call):
    run = tracker.new_run(project)
    mark_removed(run_id=Run.objects.get(uid=run).pk, at=timezone.now(), metrics=True)

    refused = tracker.post(code=400, run_id=run, **call)

    assert "was removed" in refused["message"]
    assert (stored(run), MetricBatch.objects.count()) == (0, 0)
    assert "team" not in tracker.data(run, "tags")
    tracker.post("runs/log-batch", run_id=run, params=[{"key": "lr", "value": "1"}])
