"""Cancelling a run, and the receipt of it."""

from datetime import timedelta

import pytest

from runs.attempts import finish_attempt, record_heartbeat
from tests.factories import (
    Caller,
    at_once,
    everything,
    exit_body,
    fresh,
    heartbeat_body,
    kinds,
    new_artifact,
    new_attempt,
    new_project,
    new_run,
    new_user,
    run_path,
)

pytestmark = pytest.mark.django_db
AT_ONCE = {"Prefer": "wait=0"}


@pytest.fixture
def cancel(as_editor):
    return lambda run, **headers: as_editor.call("POST", f"{run_path(run)}/cancel", **(headers or AT_ONCE))


@pytest.fixture
def attempt(project):
    """The attempt of a running run."""
    return new_attempt(project=project)


def test_a_queued_run_is_cancelled_at_once(cancel, run):
    answer = cancel(run)

    shown = answer.json()
    assert (answer.status_code, shown["status"], shown["reason"]) == (200, "cancelled", "cancelled")
    assert shown["completed_at"] is not None
    assert list(run.events.values_list("kind", "actor", "reason"))[1:] == [("cancelled", "edith", "cancelled")]


@pytest.mark.parametrize("status", ["starting", "running"])
def test_a_run_with_processes_is_cancelling_until_they_have_ended(cancel, project, status):
    run = new_run(project, status=status)

    answer = cancel(run)

    assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
    assert answer.json()["cancel_requested_at"] is not None
    assert kinds(run)[-1] == "cancelling"


@pytest.mark.parametrize("status", ["queued", "running"])
def test_cancel_twice_leaves_one_event(cancel, project, status):
    run = new_run(project, status=status)
    cancel(run)
    events = kinds(run)

    again = cancel(run)

    assert again.status_code == {"queued": 409, "running": 202}[status]
    assert kinds(run) == events


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_an_ended_run_is_not_cancelled(cancel, project, status):
    run = new_run(project, status=status)
    before = everything()

    answer = cancel(run)

    assert answer.status_code == 409
    assert answer.json().items() >= {"code": "illegal_transition", "status": status, "allowed": []}.items()
    assert everything() == before


def test_without_a_preference_it_waits_no_longer_than_the_limit(as_editor, attempt):
    answer = as_editor.call("POST", f"{run_path(attempt.run)}/cancel")

    assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")


def test_the_answer_shows_the_end_when_it_comes_while_waiting(cancel, attempt, monkeypatch):
    stopped = exit_body(was_stopped=True, signal=15, exit_code=None)
    monkeypatch.setattr("trainhub.api.waiting.time.sleep", lambda _: finish_attempt(attempt=attempt, report=stopped))

    answer = cancel(attempt.run, Prefer="wait=30")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


def test_a_cancel_too_many_does_not_wait(cancel, attempt, monkeypatch):
    monkeypatch.setattr("trainhub.api.waiting._places.acquire", lambda blocking: False)
    monkeypatch.setattr("trainhub.api.waiting.time.sleep", lambda _: pytest.fail("it waits"))

    assert cancel(attempt.run, Prefer="wait=30").status_code == 202


def test_a_run_that_nobody_cancelled_has_no_receipt(as_viewer, attempt):
    assert as_viewer.call("GET", run_path(attempt.run)).json()["receipt"] is None


def test_the_receipt_says_who_asked_and_that_the_trainer_is_saving(cancel, attempt):
    receipt = cancel(attempt.run).json()["receipt"]

    assert (receipt["requested_by"], receipt["signalled_at"], receipt["stopped_at"]) == ("edith", None, None)
    assert (receipt["checkpoint"], receipt["note"]) == (None, "The trainer is still saving.")


def stop(attempt):
    record_heartbeat(attempt=fresh(attempt), heartbeat=heartbeat_body(phase="stopping"))
    finish_attempt(attempt=attempt, report=exit_body(was_stopped=True))


def test_the_receipt_shows_the_final_checkpoint(cancel, as_viewer, attempt):
    cancel(attempt.run)
    final = new_artifact(attempt.run, step=42)
    stop(attempt)

    shown = as_viewer.call("GET", run_path(attempt.run)).json()

    assert (shown["status"], shown["receipt"]["note"]) == ("cancelled", "")
    assert shown["receipt"]["checkpoint"] == {
        "id": final.uid,
        "name": final.name,
        "step": 42,
        "size_bytes": final.size_bytes,
        "sha256": final.digest,
        "state": "verified",
        "is_final": True,
    }
    assert shown["receipt"]["requested_at"] < shown["receipt"]["signalled_at"] < shown["receipt"]["stopped_at"]


def test_the_receipt_says_when_the_checkpoint_is_older_than_the_request(cancel, as_viewer, attempt):
    older = new_artifact(attempt.run)
    type(older).objects.filter(pk=older.pk).update(created_at=older.created_at - timedelta(minutes=1))
    cancel(attempt.run)
    stop(attempt)

    receipt = as_viewer.call("GET", run_path(attempt.run)).json()["receipt"]

    assert (receipt["checkpoint"]["id"], receipt["checkpoint"]["is_final"]) == (older.uid, False)
    assert receipt["note"] == "No checkpoint was recorded after the request; this is the newest one."


def test_the_receipt_says_when_there_is_no_checkpoint(cancel, as_viewer, attempt):
    cancel(attempt.run)
    stop(attempt)

    receipt = as_viewer.call("GET", run_path(attempt.run)).json()["receipt"]

    assert (receipt["checkpoint"], receipt["note"]) == (None, "The trainer ended without writing a checkpoint.")


def test_the_receipt_of_a_queued_run_says_that_nothing_had_started(cancel, run):
    receipt = cancel(run).json()["receipt"]

    assert receipt["note"] == "The run was cancelled before its trainer started."
    assert receipt["stopped_at"] == receipt["requested_at"]


def test_a_damaged_or_unfinished_checkpoint_is_no_receipt(cancel, attempt):
    new_artifact(attempt.run, state="corrupt")
    new_artifact(attempt.run, state="writing", name="checkpoint-11")

    assert cancel(attempt.run).json()["receipt"]["checkpoint"] is None


@pytest.mark.django_db(transaction=True)
def test_two_cancels_at_once_leave_one_event():
    user = new_user("ada")
    attempt = new_attempt(project=new_project(by=user))
    callers = [Caller(user), Caller(user)]
    path = f"{run_path(attempt.run)}/cancel"

    answers = at_once(*(lambda caller=caller: caller.call("POST", path, **AT_ONCE) for caller in callers))

    assert [answer.status_code for answer in answers] == [202, 202]
    assert kinds(attempt.run).count("cancelling") == 1


@pytest.mark.django_db(transaction=True)
def test_a_cancel_and_an_end_at_once_leave_one_terminal_state():
    user = new_user("ada")
    attempt = new_attempt(project=new_project(by=user))
    caller = Caller(user)

    at_once(
        lambda: caller.call("POST", f"{run_path(attempt.run)}/cancel", **AT_ONCE),
        lambda: finish_attempt(attempt=attempt, report=exit_body()),
    )

    assert fresh(attempt.run).status == "completed"
    assert [kind for kind in kinds(attempt.run) if kind in {"completed", "cancelled", "failed"}] == ["completed"]
