"""What the trainer of a managed run makes with its token, once that run is over."""

import pytest

from mlflow_api.callers import Caller
from mlflow_api.lookups import identify
from runs.attempts import end_attempt_without_report, finish_attempt, tracking_token
from runs.lifecycle import Reason
from runs.models import Run
from runs.services import cancel_run
from runs.tracking.external import create_external_run
from tests.factories import exit_body, fresh
from trainhub.errors import Conflict

pytestmark = pytest.mark.django_db


def made_by(job_tracker, attempt):
    """Return a run that goes on, made beside the job's own."""
    job_tracker.new_run(attempt.run.project)  # the first one is the job's
    return Run.objects.get(uid=job_tracker.new_run(attempt.run.project))


def queue_again(attempt):
    Run.objects.filter(pk=attempt.run_id).update(max_restarts=1)
    return finish_attempt(attempt=attempt, report=exit_body(exit_code=1))


@pytest.mark.parametrize(
    "end",
    [
        lambda attempt: finish_attempt(attempt=attempt, report=exit_body()),
        lambda attempt: finish_attempt(attempt=attempt, report=exit_body(exit_code=1)),
        lambda attempt: end_attempt_without_report(attempt=attempt, reason=Reason.LOST),
        lambda attempt: cancel_run(run=queue_again(attempt), by=attempt.run.created_by),
    ],
    ids=["completed", "failed", "lost", "cancelled in the queue"],
)
def test_runs_made_by_a_jobs_token_end_with_the_job(job_tracker, attempt, tracker, end):
    made = made_by(job_tracker, attempt)

    assert end(attempt).is_terminal

    made = fresh(made)
    assert (made.status, made.reason, made.reason_detail) == ("cancelled", "reported_killed", "Its job ended.")
    info = tracker.run(made.uid)["info"]
    assert info["status"] == "KILLED"
    assert info["end_time"] == int(made.completed_at.timestamp() * 1000)


def test_runs_that_ended_or_are_of_others_stay_as_they_are(job_tracker, attempt, tracker, project):
    made, other = made_by(job_tracker, attempt), Run.objects.get(uid=tracker.new_run(project))
    job_tracker.post("runs/update", run_id=made.uid, status="FINISHED")

    finish_attempt(attempt=attempt, report=exit_body(exit_code=1))

    assert (fresh(made).status, fresh(other).status) == ("completed", "running")


def test_a_job_that_starts_again_keeps_its_runs(job_tracker, attempt):
    made = made_by(job_tracker, attempt)

    assert queue_again(attempt).status == "queued"

    assert fresh(made).status == "running"


def test_a_request_that_overlaps_the_end_of_its_job_makes_no_run(attempt, project):
    caller = Caller(identify(tracking_token(attempt.uid)))
    assert caller.job is not None
    finish_attempt(attempt=attempt, report=exit_body())

    with pytest.raises(Conflict):
        create_external_run(project=project, by=caller.user, actor=caller.name, job=caller.job)

    assert not Run.objects.filter(is_managed=False).exists()


def test_a_job_goes_on_tracking_when_its_launcher_is_gone(job_tracker, attempt):
    made = made_by(job_tracker, attempt)
    Run.objects.update(created_by=None)

    job_tracker.post("runs/delete", run_id=made.uid)
    job_tracker.post("runs/restore", run_id=made.uid)
    another = job_tracker.new_run(attempt.run.project)
    job_tracker.post("runs/update", run_id=another, status="FAILED")

    events = made.events.filter(kind__in=["archived", "restored"]).order_by("id")
    assert list(events.values_list("kind", "actor", "user")) == [
        ("archived", "trainer", None),
        ("restored", "trainer", None),
    ]
