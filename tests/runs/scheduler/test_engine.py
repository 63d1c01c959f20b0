"""What is made of an engine with a queue of its own: its words, its endings, and its silence. Time is passed in."""

from datetime import timedelta

import pytest

from runs.attempts import finish_attempt
from runs.executors.base import Capacity, JobState, SubmitRefused
from runs.lifecycle import Reason, Status
from runs.models import Attempt, Run
from runs.scheduler.start import start_waiting_runs, submit_forgotten_attempts
from runs.scheduler.watch import watch_live_attempts
from tests.runs.builders import ended, exit_report, new_live_run, new_run
from tests.runs.scheduler.conftest import BROKEN, seconds

pytestmark = pytest.mark.django_db
UNCLAIMED = {"claimed_at": None, "claimed_by": "", "started_at": None, "heartbeat_at": None, "phase": ""}
ENDINGS = [
    ("node_failed", Reason.NODE_FAILED),
    ("time_limit", Reason.TIME_LIMIT),
    ("preempted", Reason.PREEMPTED),
    ("cancelled", Reason.CANCELLED_IN_ENGINE),
    ("out_of_memory", Reason.OUT_OF_MEMORY),
]
PENDING = JobState("queued", engine="PENDING", reason="Resources: It waits for nodes to become free.")


@pytest.fixture
def slurm(engine, monkeypatch):
    """The engine, as one that queues by itself and says what `answers` has for a handle."""
    engine.total = Capacity(slots=4, gpus=6, nodes=3, has_queue=True)
    engine.answers = {}

    def poll(handles):
        engine.polls.append(dict(handles))
        engine._fail()
        return {uid: engine.answers[handle] for uid, handle in handles.items()}

    monkeypatch.setattr(engine, "poll", poll)
    return engine


def stored(attempt):
    return Attempt.objects.get(pk=attempt.pk)


def watch(start, *moments):
    for moment in moments:
        watch_live_attempts(start + seconds(moment))


def ending(word, **values):
    return JobState("ended", "as Slurm says", engine="WORD", ending=word, **values)


def test_what_the_engine_says_is_kept(slurm, now):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED)
    end = now + timedelta(hours=1)
    slurm.answers[attempt.handle] = JobState("running", engine="RUNNING", nodes=("n1", "n2"), ends_at=end)

    watch_live_attempts(now)

    found = stored(attempt)
    assert (found.engine_state, found.nodes, found.engine_started_at, found.engine_ends_at) == (
        *("RUNNING", ["n1", "n2"]),
        *(now, end),
    )


def test_what_has_not_changed_is_not_written_again(slurm, now, django_assert_num_queries):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED)
    slurm.answers[attempt.handle] = PENDING
    watch_live_attempts(now)

    with django_assert_num_queries(1):
        watch_live_attempts(now + seconds(1))


def test_a_start_is_not_expected_while_the_engine_lets_the_job_wait(slurm, now):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=9000)
    slurm.answers[attempt.handle] = PENDING

    watch(now, 0, 1000, 100_000)

    assert ended(attempt.run)[0] == Status.STARTING
    assert stored(attempt).engine_reason == PENDING.reason


def test_a_start_is_expected_from_the_moment_on_when_the_engine_starts_the_job(slurm, now):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=9000)
    slurm.answers[attempt.handle] = JobState("running", engine="RUNNING")

    watch(now, 0, 119)
    assert ended(attempt.run)[0] == Status.STARTING

    watch(now, 121)
    assert ended(attempt.run) == (Status.FAILED, Reason.START_TIMEOUT)
    assert slurm.cancels == [(attempt.handle, True)]


def test_a_runner_whose_job_began_before_the_hub_was_away_is_given_time_to_be_heard(slurm, now, monkeypatch):
    monkeypatch.setattr("runs.scheduler.hearing.HEARD", seconds(45))
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=9000)
    slurm.answers[attempt.handle] = JobState("running", engine="RUNNING")
    watch(now, 0)

    watch(now, 3000, 3009, 3018, 3027, 3036, 3044)  # the scheduler was away in between
    assert ended(attempt.run)[0] == Status.STARTING

    watch(now, 3046)
    assert ended(attempt.run) == (Status.FAILED, Reason.START_TIMEOUT)


def test_an_engine_that_is_away_changes_nothing(slurm, now):
    waiting = new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=9000)
    slurm.answers[waiting.handle] = PENDING
    watch_live_attempts(now)
    slurm.failure = BROKEN

    watch(now, 600, 6000)

    assert ended(waiting.run)[0] == Status.STARTING
    assert stored(waiting).engine_state == "PENDING"


def test_a_job_that_waits_goes_on_waiting_when_its_executor_is_gone(slurm, engines, now):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=9000)
    slurm.answers[attempt.handle] = PENDING
    watch_live_attempts(now)
    del engines["local"]

    watch(now, 600, 100_000)

    assert ended(attempt.run)[0] == Status.STARTING


def test_a_job_that_waits_goes_on_waiting_when_its_executor_became_another(slurm, engines, now):
    attempt = new_live_run(Status.STARTING, attempt={**UNCLAIMED, "engine_state": "PENDING"}, age_seconds=9000)
    slurm.total, slurm.failure = Capacity(slots=4, gpus=0), SubmitRefused("no such handle")

    watch(now, 0, 100_000)

    assert ended(attempt.run)[0] == Status.STARTING


def test_a_start_that_nobody_can_be_asked_of_is_lost_as_any_silent_run(slurm, engines, now):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED)
    del engines["local"]

    watch(now, 599)
    assert ended(attempt.run)[0] == Status.STARTING

    watch(now, 602)
    assert ended(attempt.run) == (Status.FAILED, Reason.LOST)


def test_a_cancel_has_an_end_also_when_the_executor_is_gone(slurm, engines, now):
    attempt = new_live_run(Status.CANCELLING, attempt={**UNCLAIMED, "engine_state": "PENDING"}, age_seconds=121)
    del engines["local"]

    watch(now, 0)

    assert ended(attempt.run)[0] == Status.CANCELLED


def test_a_job_that_failed_before_its_runner_began_ends_at_once_with_the_engines_words(slurm, now):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED)
    slurm.answers[attempt.handle] = ending("", has_begun=False)

    watch(now, 0)

    assert ended(attempt.run) == (Status.FAILED, Reason.START_FAILED)
    assert "as Slurm says" in attempt.run.reason_text
    assert slurm.recoveries == []


@pytest.mark.parametrize(("word", "reason"), ENDINGS)
def test_a_job_that_the_engine_ended_before_it_began_ends_the_run_at_once(slurm, now, word, reason):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED)
    slurm.answers[attempt.handle] = ending(word)

    watch_live_attempts(now)

    assert ended(attempt.run) == (Status.FAILED, reason)


def test_a_cancelled_job_that_waited_ends_the_run_at_once(slurm, now):
    attempt = new_live_run(Status.CANCELLING, attempt=UNCLAIMED)
    slurm.answers[attempt.handle] = ending("cancelled")

    watch_live_attempts(now)

    assert ended(attempt.run) == (Status.CANCELLED, Reason.CANCELLED)


@pytest.mark.parametrize(("word", "reason"), ENDINGS)
def test_a_runner_that_the_engine_ended_is_recovered_and_the_engine_named(slurm, now, word, reason):
    attempt = new_live_run()
    slurm.answers[attempt.handle] = ending(word)
    watch_live_attempts(now)
    assert slurm.recoveries == [attempt.handle]

    finish_attempt(attempt=stored(attempt), report=exit_report(exit_code=None, runner_died=True))

    assert ended(attempt.run) == (Status.FAILED, reason)


@pytest.mark.parametrize(("word", "reason"), ENDINGS)
def test_without_a_recovery_the_engines_word_is_the_reason(slurm, now, word, reason):
    attempt = new_live_run()
    slurm.answers[attempt.handle] = ending(word)

    watch(now, 0, 46)

    assert ended(attempt.run) == (Status.FAILED, reason)


def test_a_node_that_failed_leads_to_another_attempt_when_asked(slurm, now):
    attempt = new_live_run(max_restarts=1)
    slurm.answers[attempt.handle] = ending("node_failed")

    watch(now, 0, 46)

    assert ended(attempt.run)[0] == Status.QUEUED
    assert attempt.run.events.get(kind="queued").evidence["ended_by"] == "node_failed"


@pytest.mark.parametrize(
    ("left_minutes", "reason"), [(1, Reason.TIME_LIMIT), (-1, Reason.TIME_LIMIT), (60, Reason.STOPPED_OUTSIDE)]
)
def test_a_trainer_that_was_warned_of_the_limit_reached_it(slurm, now, left_minutes, reason):
    end = now + timedelta(minutes=left_minutes)
    attempt = new_live_run(attempt={"engine_state": "RUNNING", "engine_ends_at": end})

    finish_attempt(attempt=stored(attempt), report=exit_report(was_stopped=True))

    assert ended(attempt.run) == (Status.FAILED, reason)


def test_a_run_that_ended_by_itself_near_its_limit_has_finished(slurm, now):
    attempt = new_live_run(attempt={"engine_state": "RUNNING", "engine_ends_at": now})

    finish_attempt(attempt=stored(attempt), report=exit_report())

    assert ended(attempt.run) == (Status.COMPLETED, Reason.FINISHED)


# --- Where no engine sees to the limit ----------------------------------------------------------------
def limited(minutes, *, trained_seconds, now):
    attempt = new_live_run(attempt={"started_at": now - seconds(trained_seconds)})
    attempt.run.compute["time_limit_minutes"] = minutes
    attempt.run.save(update_fields=["compute"])
    return attempt


def test_a_limit_of_the_run_is_kept_by_the_hub_with_time_to_save(engine, now):
    attempt = limited(2, trained_seconds=111, now=now)

    watch(now, 0, 10, 16)

    assert engine.cancels == [(attempt.handle, False), (attempt.handle, True)]


def test_before_the_limit_nothing_is_stopped(engine, now):
    limited(2, trained_seconds=100, now=now)

    watch(now, 0, 9)

    assert engine.cancels == []


def test_what_was_stopped_at_the_hubs_limit_reached_it(engine, now):
    attempt = limited(2, trained_seconds=112, now=now)
    watch(now, 0)

    finish_attempt(attempt=stored(attempt), report=exit_report(was_stopped=True))

    assert ended(attempt.run) == (Status.FAILED, Reason.TIME_LIMIT)


# --- Handing over ---------------------------------------------------------------------------------------
FORGOTTEN = {**UNCLAIMED, "submitted_at": None, "handle": ""}


def test_what_cannot_be_handed_over_says_why(engine, now):
    attempt = new_live_run(Status.STARTING, attempt={**FORGOTTEN, "age_seconds": 60}, age_seconds=60)
    engine.failure = BROKEN

    submit_forgotten_attempts(now)

    assert stored(attempt).engine_reason == "Not handed over yet: the engine does not answer."


def test_what_waits_for_an_engine_that_is_away_goes_on_waiting(slurm, now):
    attempt = new_live_run(Status.STARTING, attempt={**FORGOTTEN, "age_seconds": 9000}, age_seconds=9000)
    slurm.problem = "Slurm does not answer."

    submit_forgotten_attempts(now)

    assert ended(attempt.run)[0] == Status.STARTING
    assert stored(attempt).engine_reason == "Not handed over yet: Slurm does not answer."
    assert slurm.requests == []


def test_where_nothing_is_taken_the_queue_waits_as_queued(slurm, now):
    slurm.total, slurm.failure = Capacity(slots=100, gpus=6, nodes=3, has_queue=True), BROKEN
    runs = [new_run(age_seconds=100 - number) for number in range(6)]

    counts = [start_waiting_runs(now + seconds(number)) for number in range(5)]

    assert counts == [1, 1, 1, 0, 0]
    assert {ended(run)[0] for run in runs[3:]} == {Status.QUEUED}
    assert Run.objects.get(pk=runs[5].pk).waiting_reason == "Not handed over yet: the engine does not answer."

    slurm.failure = None
    submit_forgotten_attempts(now + seconds(60))
    assert start_waiting_runs(now + seconds(60)) == 3


def test_one_run_that_is_not_taken_does_not_close_the_engine(slurm, now):
    new_live_run(Status.STARTING, attempt={**FORGOTTEN, "engine_reason": "Not handed over yet: a mistake."})

    new_run(), new_run()

    assert start_waiting_runs(now) == 2
