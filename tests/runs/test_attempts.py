"""Attempts: opened once, judged by what was seen, restarted when that could help."""

from datetime import timedelta

import pytest
from django.utils import timezone

from projects.services import create_project
from runs.attempts import (
    attempt_token,
    describe_exit,
    end_attempt_without_report,
    finish_attempt,
    is_unreachable,
    judge,
    open_attempt,
    token_digest,
)
from runs.lifecycle import OUTCOMES, Reason, Status
from runs.models import Attempt
from runs.services import cancel_run
from tests.factories import at_once, everything, exit_body, fresh, kinds, new_artifact, new_attempt, new_run, new_user
from trainhub.errors import Conflict, StatusChanged

pytestmark = pytest.mark.django_db
SILENT = Reason.LOST, Reason.START_TIMEOUT, Reason.RUNNER_DIED


def test_opening_an_attempt_moves_the_run_to_starting(run):
    attempt = open_attempt(run=run, gpu_indexes=[0, 1])

    assert (attempt.number, attempt.gpu_indexes, attempt.resume_from) == (1, [0, 1], None)
    assert fresh(run).status == "starting"
    assert kinds(run) == ["queued", "starting"]


def test_a_run_that_is_no_longer_queued_gets_no_attempt(run):
    stale = fresh(run)
    cancel_run(run=run, by=run.created_by)
    before = everything()

    with pytest.raises(StatusChanged):
        open_attempt(run=stale, gpu_indexes=[])

    assert everything() == before


@pytest.mark.parametrize(("gpu_indexes", "slots"), [([1], 9), ([], 1)], ids=["gpu taken", "no slot left"])
def test_room_that_another_scheduler_gave_away_is_not_given_again(run, gpu_indexes, slots):
    open_attempt(run=run, gpu_indexes=[0, 1], slots=9)
    other = new_run(run.project)
    before = everything()

    with pytest.raises(Conflict):
        open_attempt(run=other, gpu_indexes=gpu_indexes, slots=slots)

    assert everything() == before


def test_gpus_that_the_executor_gave_away_under_another_name_are_not_given_again(run):
    open_attempt(run=run, gpu_indexes=[0, 1], slots=9)
    run.attempts.update(executor="before")

    with pytest.raises(Conflict):
        open_attempt(run=new_run(run.project), gpu_indexes=[1], slots=9)


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_open_one_attempt():
    run = new_run(create_project(by=new_user(), values={"name": "x"}))

    def schedule():
        try:
            return open_attempt(run=fresh(run), gpu_indexes=[])
        except Exception as refusal:  # noqa: BLE001 - the refusal is what is looked at
            return refusal

    outcomes = at_once(schedule, schedule)

    assert sorted(isinstance(outcome, Attempt) for outcome in outcomes) == [False, True]
    assert run.attempts.count() == 1


def test_the_token_is_derived_and_only_its_hash_is_kept(run):
    attempt = open_attempt(run=run, gpu_indexes=[])

    assert attempt.token_digest == token_digest(attempt_token(attempt.uid))
    assert attempt_token(attempt.uid) == attempt_token(attempt.uid) != attempt_token("att_other")


@pytest.mark.parametrize("reason", [reason for reason, outcome in OUTCOMES.items() if outcome.may_restart])
def test_a_crash_that_may_be_restarted_queues_the_run_again(project, reason):
    attempt = new_attempt(new_run(project, max_restarts=1))

    run = end_attempt_without_report(attempt=attempt, reason=reason)

    assert (run.status, fresh(attempt).reason, run.completed_at) == ("queued", reason, None)
    assert run.events.last().evidence["ended_by"] == reason
    assert "Restart 1 of 1." in run.events.last().message


@pytest.mark.parametrize("reason", [reason for reason in Reason if OUTCOMES[reason].status == Status.FAILED])
def test_without_restarts_left_the_run_fails_with_the_reason(project, reason):
    attempt = new_attempt(project=project)

    run = end_attempt_without_report(attempt=attempt, reason=reason, message="seen by the scheduler")

    assert (run.status, run.reason, run.reason_detail) == ("failed", reason, "seen by the scheduler")


def test_restarts_are_counted_by_attempts(project):
    run = new_run(project, max_restarts=2)
    ended = [finish_attempt(attempt=new_attempt(fresh(run)), report=exit_body(exit_code=1)).status for _ in range(3)]

    assert ended == ["queued", "queued", "failed"]
    assert [attempt.number for attempt in run.attempts.all()] == [1, 2, 3]


@pytest.mark.parametrize(("exit_code", "status"), [(2, "failed"), (1, "queued")])
def test_no_restart_follows_an_exit_code_of_which_the_recipe_says_so(project, exit_code, status):
    attempt = new_attempt(new_run(project, max_restarts=1))
    attempt.run.recipe_snapshot["no_restart_exit_codes"] = [2]
    attempt.run.save(update_fields=["recipe_snapshot"])

    run = finish_attempt(attempt=attempt, report=exit_body(exit_code=exit_code))

    assert run.status == status
    assert fresh(attempt).exit_code == exit_code


def test_a_restart_begins_from_the_newest_verified_checkpoint(project):
    first = new_attempt(new_run(project, max_restarts=1))
    newest = new_artifact(first.run, step=20, name="checkpoint-20")
    new_artifact(first.run, step=10)
    new_artifact(first.run, step=30, name="checkpoint-30", state="corrupt")
    new_artifact(first.run, step=40, name="checkpoint-40", state="writing")
    finish_attempt(attempt=first, report=exit_body(exit_code=1))

    assert open_attempt(run=fresh(first.run), gpu_indexes=[]).resume_from == newest


def test_a_restart_without_a_checkpoint_begins_where_the_run_began(project):
    source = new_artifact(new_run(project, status="completed"))
    first = new_attempt(new_run(project, max_restarts=1))
    type(first.run).objects.filter(pk=first.run_id).update(resumed_from=source)
    finish_attempt(attempt=first, report=exit_body(exit_code=1))

    assert open_attempt(run=fresh(first.run), gpu_indexes=[]).resume_from == source


@pytest.mark.parametrize("reason", SILENT)
def test_a_run_that_is_cancelling_is_cancelled_and_never_restarted(project, reason):
    attempt = new_attempt(new_run(project, max_restarts=5))
    cancel_run(run=attempt.run, by=project.created_by)

    assert end_attempt_without_report(attempt=attempt, reason=reason).status == "cancelled"


def test_an_attempt_that_has_ended_is_not_ended_again(project):
    attempt = new_attempt(project=project)
    finish_attempt(attempt=attempt, report=exit_body())
    before = everything()

    assert end_attempt_without_report(attempt=attempt, reason=Reason.LOST) is None
    assert everything() == before


def test_a_start_whose_report_was_lost_is_made_up_for_by_the_exit(run):
    attempt = open_attempt(run=run, gpu_indexes=[])

    finish_attempt(attempt=attempt, report=exit_body())

    assert kinds(run) == ["queued", "starting", "running", "completed"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"runner_died": True, "problem": "workspace_failed"}, Reason.RUNNER_DIED),
        ({"problem": "resume_damaged", "signal": 9}, Reason.CHECKPOINT_DAMAGED),
        ({"out_of_memory": True, "was_stopped": True}, Reason.OUT_OF_MEMORY),
        ({"was_stopped": True, "exit_code": 0}, Reason.STOPPED_OUTSIDE),
        ({"exit_code": None, "signal": None}, Reason.TRAINER_FAILED),
    ],
)
def test_of_several_causes_the_first_one_counts(changes, reason):
    assert judge(run_status=Status.RUNNING, report=exit_body(**changes)) == reason


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, ""),
        ({"exit_code": 2, "message": "boom"}, "Exit code 2. boom"),
        ({"exit_code": None, "signal": 11}, "Signal 11."),
        ({"was_killed": True, "signal": 9}, "It did not stop within the grace period and was killed."),
        ({"exit_code": 1, "message": "x" * 1000}, "Exit code 1. " + "x" * 987),
    ],
)
def test_the_end_is_described_in_a_line(changes, text):
    assert describe_exit(exit_body(**changes), Reason.TRAINER_FAILED) == text


@pytest.mark.parametrize(("age", "expected"), [(0, False), (29, False), (31, True), (86_400, True)])
def test_a_silent_attempt_is_unreachable_after_30_seconds(project, age, expected):
    attempt = new_attempt(project=project)

    assert is_unreachable(attempt, attempt.heartbeat_at + timedelta(seconds=age)) is expected


@pytest.mark.parametrize("changes", [{"ended_at": timezone.now()}, {"heartbeat_at": None}])
def test_an_attempt_that_ended_or_never_spoke_is_not_called_unreachable(project, changes):
    attempt = new_attempt(project=project)
    Attempt.objects.filter(pk=attempt.pk).update(**changes)

    assert not is_unreachable(fresh(attempt), timezone.now() + timedelta(days=1))
    assert not is_unreachable(None)
