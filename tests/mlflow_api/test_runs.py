"""Runs as clients make, read, end and continue them."""

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from projects.models import Role
from runs.attempts import finish_attempt
from runs.epoch import milliseconds
from runs.models import Attempt, Run
from tests.factories import add_member, exit_body, fresh, new_project, new_user

from .conftest import Tracker

pytestmark = pytest.mark.django_db


def test_a_client_makes_a_run_that_runs_until_it_says_otherwise(tracker, project):
    made = tracker.post(
        "runs/create",
        experiment_id=project.uid,
        run_name="baseline",
        user_id="mara",
        start_time=1_700_000_000_000,
        tags=[{"key": "team", "value": "nlp"}],
    )["run"]
    run = Run.objects.get(uid=made["info"]["run_id"])
    assert (run.status, run.is_managed, run.name) == ("running", False, "baseline")
    assert made["info"]["artifact_uri"] == f"mlflow-artifacts:/{project.uid}/{run.uid}/artifacts"
    assert (made["info"]["user_id"], made["info"]["start_time"]) == ("mara", 1_700_000_000_000)
    assert "end_time" not in made["info"]
    assert tracker.data(run.uid, "tags") == {"mlflow.runName": "baseline", "team": "nlp"}

    ended = tracker.post("runs/update", run_id=run.uid, status="FINISHED", end_time=1_700_000_100_000)["run_info"]
    assert (ended["status"], ended["end_time"]) == ("FINISHED", 1_700_000_100_000)
    run.refresh_from_db()
    assert (run.status, run.reason) == ("completed", "finished")
    shown = Run.objects.with_details().get(pk=run.pk)
    assert (shown.trained_until - run.started_at).total_seconds() == 100


@pytest.mark.parametrize(
    ("start_time", "end_time", "seconds"),
    [(1000, 61_000, 60), (61_000, 1000, 0), (61_000, 0, 0)],
)
def test_the_clients_clock_tells_how_long_and_the_hubs_when_it_ended(tracker, project, start_time, end_time, seconds):
    before = timezone.now()
    run = tracker.new_run(project, start_time=start_time)
    info = tracker.post("runs/update", run_id=run, status="FINISHED", end_time=end_time)["run_info"]

    assert info["end_time"] == end_time
    shown = Run.objects.with_details().get(uid=run)
    assert (shown.trained_until - shown.started_at).total_seconds() == seconds
    moments = [shown.completed_at, shown.status_changed_at, shown.updated_at, shown.events.last().at]
    assert min(moments) >= before
    assert not Run.objects.ended_before(before).exists()  # what retention looks at


def test_an_end_of_the_clients_in_the_future_is_not_believed_on_pages(tracker, project):
    run = tracker.new_run(project, start_time=1000)
    tracker.post("runs/update", run_id=run, status="FINISHED", end_time=253_402_300_799_999)

    shown = Run.objects.with_details().get(uid=run)
    assert shown.trained_until == shown.completed_at


def test_an_end_without_a_time_has_the_hubs_and_not_that_of_an_earlier_end(tracker, project):
    run = tracker.new_run(project)
    tracker.post("runs/update", run_id=run, status="FINISHED", end_time=5000)
    tracker.post("runs/update", run_id=run, status="RUNNING")
    info = tracker.post("runs/update", run_id=run, status="FAILED")["run_info"]

    assert abs(info["end_time"] - Run.objects.get(uid=run).completed_at.timestamp() * 1000) < 5000


def test_a_run_that_goes_on_is_not_done(tracker, project):
    run = tracker.new_run(project)
    tracker.post("runs/update", run_id=run, status="FINISHED")
    assert Run.objects.get(uid=run).progress == 1

    tracker.post("runs/update", run_id=run, status="RUNNING")
    assert Run.objects.get(uid=run).progress == 0


def test_a_managed_run_ends_when_the_scheduler_says(job_tracker, tracker, attempt):
    job_tracker.post("runs/update", run_id=attempt.run.uid, status="FINISHED", end_time=5000)
    assert "end_time" not in tracker.run(attempt.run.uid)["info"]
    run = finish_attempt(attempt=attempt, report=exit_body())

    assert tracker.run(run.uid)["info"]["end_time"] == milliseconds(run.completed_at)


def test_another_attempt_begins_without_the_end_that_the_one_before_told(job_tracker, attempt):
    job_tracker.post("runs/update", run_id=attempt.run.uid, status="FINISHED", end_time=5000)
    Attempt.objects.filter(pk=attempt.pk).update(number=2)
    job_tracker.new_run(attempt.run.project)

    tracking = fresh(attempt.run).tracking
    assert (tracking.client_status, tracking.end_time) == ("RUNNING", None)


@pytest.mark.parametrize(
    ("word", "status", "reason"),
    [("FAILED", "failed", "reported_failed"), ("KILLED", "cancelled", "reported_killed"), (3, "completed", "finished")],
)
def test_an_external_run_ends_by_its_clients_word_and_goes_on_by_it(tracker, project, word, status, reason):
    run = Run.objects.get(uid=tracker.new_run(project))
    tracker.post("runs/update", run_id=run.uid, status=word, end_time=1_700_000_100_000)
    assert (fresh(run).status, fresh(run).reason) == (status, reason)

    again = tracker.post("runs/update", run_id=run.uid, status="RUNNING")["run_info"]
    assert (again["status"], again["end_time"]) == ("RUNNING", 1_700_000_100_000)
    assert (fresh(run).status, fresh(run).reason, fresh(run).completed_at) == ("running", "", None)


def test_a_word_on_a_managed_run_is_kept_beside_its_status(job_tracker, attempt):
    run = attempt.run
    assert job_tracker.run(run.uid)["info"]["status"] == "RUNNING"
    info = job_tracker.post("runs/update", run_id=run.uid, status="FINISHED", run_name="./output")["run_info"]
    assert (info["status"], info["run_name"]) == ("FINISHED", "a run")
    assert fresh(run).status == "running"


def test_what_was_just_logged_is_read_at_once(tracker, project):
    run = tracker.new_run(project)
    tracker.post("runs/log-metric", run_id=run, key="train/loss now", value="NaN", timestamp=5, step=-3)
    tracker.post("runs/log-metric", run_id=run, key="train/loss now", value=0.5, timestamp=4, step=2**40)
    tracker.post("runs/log-metric", run_id=run, key="train/loss now", value=0.7, timestamp=6, step=7)
    tracker.post("runs/log-metric", run_id=run, key="peak", value="-Infinity", timestamp=1)
    metrics = {metric["key"]: metric for metric in tracker.run(run)["data"]["metrics"]}
    assert metrics["train/loss now"] == {"key": "train/loss now", "value": 0.5, "timestamp": 4, "step": 2**40}
    assert metrics["peak"]["value"] == "-Infinity"


def test_a_batch_is_kept_whole_or_not_at_all(tracker, project):
    run = tracker.new_run(project)
    tracker.post("runs/log-batch", run_id=run, params=[{"key": "lr", "value": "0.1"}, {"key": "note"}])
    tracker.post("runs/log-batch", run_id=run, params=[{"key": "lr", "value": "0.1"}])
    refused = tracker.post(
        "runs/log-batch",
        code=400,
        run_id=run,
        params=[{"key": "lr", "value": "0.2"}, {"key": "batch", "value": "8"}],
        metrics=[{"key": "loss", "value": 1, "timestamp": 1}],
        tags=[{"key": "team", "value": "nlp"}],
    )
    assert refused["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "'0.1'" in refused["message"]
    assert "'0.2'" in refused["message"]
    assert tracker.data(run, "params") == {"lr": "0.1", "note": ""}
    assert tracker.data(run, "metrics") == {}
    assert "team" not in tracker.data(run, "tags")


def test_who_may_not_see_a_run_learns_nothing_of_it(tracker, project):
    run = tracker.new_run(project)
    stranger = Tracker(new_user("eve"))
    assert stranger.get("runs/get", code=404, run_id=run)["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert Tracker(token="0" * 64).get("runs/get", code=401, run_id=run)["error_code"] == "UNAUTHENTICATED"
    viewer = Tracker(add_member(project, "vera", Role.VIEWER))
    assert viewer.run(run)["info"]["run_id"] == run
    refused = viewer.post("runs/set-tag", code=403, run_id=run, key="a", value="b")
    assert refused["error_code"] == "PERMISSION_DENIED"


def test_a_jobs_token_reaches_its_run_and_what_it_made_and_no_other(job_tracker, attempt, tracker, project):
    other = tracker.new_run(project)
    job_tracker.get("runs/get", code=404, run_id=other)
    elsewhere = new_project(by=project.created_by, name="elsewhere")
    job_tracker.post("runs/create", code=404, experiment_id=elsewhere.uid)
    assert job_tracker.new_run(project) == attempt.run.uid  # a logger that insists on a run gets the job's
    nested = job_tracker.new_run(project)
    assert nested not in {attempt.run.uid, other}
    assert Run.objects.get(uid=nested).tracking.parent == attempt.run
    job_tracker.post("runs/log-metric", run_id=nested, key="loss", value=1, timestamp=1)
    assert (
        job_tracker.get("experiments/get-by-name", experiment_name="lightning_logs")["experiment"]["experiment_id"]
        == project.uid
    )


def test_members_and_operators_read_a_run_until_it_is_deleted(tracker, project):
    run = tracker.new_run(project)
    add_member(project, "ida", Role.VIEWER)
    readers = [tracker, Tracker(get_user_model().objects.get(username="ida")), Tracker(new_user("op", is_staff=True))]

    assert [reader.run(run)["info"]["run_id"] for reader in readers] == [run] * 3

    Run.objects.filter(uid=run).update(deleted_at="2026-01-01T00:00Z")
    for reader in readers:
        reader.get("runs/get", code=404, run_id=run)


def test_a_run_is_read_with_few_columns_of_it_and_without_its_people(tracker, project, django_assert_max_num_queries):
    run = tracker.new_run(project)
    tracker.post("runs/log-metric", run_id=run, key="loss", value=1, timestamp=1)
    tracker.run(run)

    # token, may it be seen, run, is anything new, metrics, parameters, tags, models, datasets
    with django_assert_max_num_queries(9):
        tracker.run(run)
