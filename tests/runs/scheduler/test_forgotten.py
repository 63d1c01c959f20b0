"""Attempts whose scheduler died between recording and submitting them."""

import pytest

from runs.attempts import attempt_token, open_attempt
from runs.executors.base import Capacity, SubmitRefused
from runs.lifecycle import Reason, Status
from runs.models import Attempt
from runs.scheduler.start import submit_attempt, submit_forgotten_attempts
from runs.scheduler.watch import watch_live_attempts
from tests.runs.builders import ended, kinds, new_live_run, new_run
from tests.runs.scheduler.conftest import BROKEN, seconds

pytestmark = pytest.mark.django_db


@pytest.fixture
def forgotten(engine):
    """An attempt that was recorded and never submitted."""
    return open_attempt(run=new_run(), gpu_indexes=[])


def test_a_fresh_one_is_left_to_the_scheduler_that_made_it(engine, forgotten, now):
    submit_forgotten_attempts(forgotten.created_at + seconds(4))
    assert engine.requests == []


def test_it_is_submitted_with_the_same_name_and_token(engine, forgotten):
    submit_forgotten_attempts(forgotten.created_at + seconds(6))

    forgotten.refresh_from_db()
    assert [(request.name, request.token) for request in engine.requests] == [
        (forgotten.uid, attempt_token(forgotten.uid))
    ]
    assert forgotten.handle == f"job-{forgotten.uid}"
    assert submit_forgotten_attempts(forgotten.created_at + seconds(12)) == 0


def test_an_engine_that_does_not_answer_is_asked_now_and_then(engine, forgotten):
    engine.failure = BROKEN

    for later in (6, 7, 8, 12, 13):
        submit_forgotten_attempts(forgotten.created_at + seconds(later))

    assert len(engine.requests) == 2
    assert ended(forgotten.run)[0] == Status.STARTING


def test_it_ends_when_the_engine_does_not_answer_in_time(engine, forgotten, settings):
    engine.failure = BROKEN

    submit_forgotten_attempts(forgotten.created_at + seconds(settings.START_LIMIT_SECONDS + 1))

    assert ended(forgotten.run) == (Status.FAILED, Reason.START_TIMEOUT)
    assert forgotten.run.reason_text.endswith("The executor local did not take the run.")
    assert engine.cancels == [(forgotten.uid, True)]  # the answer may be what was lost, not the job


def test_an_engine_with_a_queue_is_waited_for(engine, forgotten):
    engine.total = Capacity(slots=4, gpus=0, has_queue=True)
    engine.failure = BROKEN
    for later in (600, 6000, 100_000):
        submit_forgotten_attempts(forgotten.created_at + seconds(later))
    assert ended(forgotten.run)[0] == Status.STARTING
    assert "the engine does not answer" in Attempt.objects.get(pk=forgotten.pk).engine_reason

    engine.failure = None
    submit_forgotten_attempts(forgotten.created_at + seconds(100_010))

    assert engine.submitted == [forgotten.uid] * 4
    assert Attempt.objects.get(pk=forgotten.pk).handle == f"job-{forgotten.uid}"


def test_a_job_that_was_cancelled_while_it_was_handed_over_is_ended(engine, forgotten, monkeypatch):
    submit = engine.submit

    def submit_slowly(request):
        Attempt.objects.filter(pk=forgotten.pk).update(ended_at=forgotten.created_at)
        return submit(request)

    monkeypatch.setattr(engine, "submit", submit_slowly)

    submit_attempt(forgotten)

    assert engine.cancels == [(f"job-{forgotten.uid}", True)]


def test_it_waits_when_the_executor_is_not_configured_any_more(engine, engines, forgotten):
    del engines["local"]

    for later in (6, 6000):
        submit_forgotten_attempts(forgotten.created_at + seconds(later))

    assert ended(forgotten.run)[0] == Status.STARTING
    note = "Not handed over yet: There is no executor local any more."
    assert Attempt.objects.get(pk=forgotten.pk).engine_reason == note


def test_it_fails_when_the_engine_refuses_it(engine, forgotten):
    engine.failure = SubmitRefused("no such partition")
    submit_forgotten_attempts(forgotten.created_at + seconds(6))
    assert ended(forgotten.run) == (Status.FAILED, Reason.SUBMIT_REFUSED)


def test_a_cancel_ends_it_at_once_and_starts_nothing(engine, forgotten):
    attempt = new_live_run(Status.CANCELLING, attempt={"submitted_at": None, "claimed_at": None, "handle": ""})

    submit_forgotten_attempts(attempt.created_at)

    assert ended(attempt.run) == (Status.CANCELLED, Reason.CANCELLED)
    assert kinds(attempt.run) == ["cancelled"]
    assert (engine.requests, engine.cancels) == ([], [(attempt.uid, True)])


def test_a_cancel_ends_it_also_when_the_engine_is_away(engine, forgotten):
    attempt = new_live_run(Status.CANCELLING, attempt={"submitted_at": None, "claimed_at": None, "handle": ""})
    engine.failure = BROKEN

    submit_forgotten_attempts(attempt.created_at)

    assert ended(attempt.run) == (Status.CANCELLED, Reason.CANCELLED)


def test_one_that_runs_already_is_found_and_then_told_to_stop(engine):
    attempt = new_live_run(Status.CANCELLING, attempt={"submitted_at": None, "handle": "", "age_seconds": 60})
    now = attempt.created_at + seconds(60)

    submit_forgotten_attempts(now)
    watch_live_attempts(now)

    assert engine.submitted == [attempt.uid]
    assert engine.cancels == [(f"job-{attempt.uid}", False)]
    assert Attempt.objects.get(pk=attempt.pk).ended_at is None
