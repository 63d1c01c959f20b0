"""Watching: what the engines say, what is done about it, and when patience ends. Time is passed in."""

import pytest
from django.db import OperationalError

from runs.executors.base import ExecutorError, SubmitRefused
from runs.lifecycle import Reason, Status
from runs.models import Attempt
from runs.scheduler.watch import watch_live_attempts
from tests.runs.builders import ended, kinds, new_live_run
from tests.runs.scheduler.conftest import BROKEN, Engine, seconds
from trainhub import reachability

pytestmark = pytest.mark.django_db
UNCLAIMED = {"claimed_at": None, "claimed_by": "", "started_at": None, "heartbeat_at": None, "phase": ""}


def state_of(run):
    return ended(run)[0]


def watch(start, *moments):
    for moment in moments:
        watch_live_attempts(start + seconds(moment))


# --- Asking ---------------------------------------------------------------------------------------
def test_each_engine_is_asked_once_for_all_its_attempts(engine, engines, now):
    engines["other"] = Engine()
    here = [new_live_run(), new_live_run(Status.STARTING)]
    there = new_live_run(executor="other")
    new_live_run(attempt={"ended_at": now})
    new_live_run(Status.STARTING, attempt={"submitted_at": None})

    watch_live_attempts(now)

    assert engine.polls == [{attempt.uid: attempt.handle for attempt in here}]
    assert engines["other"].polls == [{there.uid: there.handle}]


def test_a_living_run_is_left_alone_however_long_it_is_silent(engine, now):
    attempt = new_live_run(attempt={"age_seconds": 3 * 24 * 3600})

    watch_live_attempts(now)

    assert state_of(attempt.run) == Status.RUNNING
    assert (engine.cancels, engine.recoveries, kinds(attempt.run)) == ([], [], [])


def test_one_attempt_that_cannot_be_watched_does_not_hide_the_others(engine, now, monkeypatch):
    first, second = new_live_run(Status.CANCELLING), new_live_run(attempt=UNCLAIMED, age_seconds=500)
    monkeypatch.setattr(engine, "cancel", lambda handle, hard=False: {}[handle] if handle == first.handle else None)

    watch_live_attempts(now)

    assert state_of(first.run) == Status.CANCELLING
    assert state_of(second.run) == Status.FAILED


def test_a_run_that_somebody_holds_a_lock_on_hides_nobody(engine, now, monkeypatch):
    class LockNotAvailable(Exception):
        sqlstate = "55P03"

    def cancel(handle, *, hard=False):
        if handle == locked.handle:
            raise OperationalError("canceling statement due to lock timeout") from LockNotAvailable()

    locked, other = new_live_run(Status.CANCELLING), new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=500)
    monkeypatch.setattr(engine, "cancel", cancel)

    watch_live_attempts(now)

    assert state_of(locked.run) == Status.CANCELLING
    assert state_of(other.run) == Status.FAILED


# --- Starting -------------------------------------------------------------------------------------
def test_a_start_has_its_time(engine, now):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=119)
    watch_live_attempts(now)
    assert state_of(attempt.run) == Status.STARTING


def test_a_start_that_nobody_reports_ends_and_what_was_started_is_killed(engine, now):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=121)

    watch_live_attempts(now)

    assert ended(attempt.run) == (Status.FAILED, Reason.START_TIMEOUT)
    assert engine.cancels == [(attempt.handle, True)]


def test_the_deadline_holds_without_any_heartbeat_also_when_the_engine_is_silent(engine, now):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=121)
    engine.failure = BROKEN

    watch_live_attempts(now)

    assert ended(attempt.run) == (Status.FAILED, Reason.START_TIMEOUT)


def test_a_start_that_timed_out_is_tried_again_when_restarts_are_left(engine, now):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=121, max_restarts=1)

    watch_live_attempts(now)

    assert state_of(attempt.run) == Status.QUEUED
    assert attempt.run.events.get().evidence["ended_by"] == "start_timeout"


def test_a_start_is_not_given_up_while_web_is_away(engine, now, web):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=121)
    web.is_up = False
    watch(now, 0, 121, 3000)
    assert state_of(attempt.run) == Status.STARTING
    assert engine.cancels == []

    web.is_up = True
    watch(now, 3100)
    assert ended(attempt.run) == (Status.FAILED, Reason.START_TIMEOUT)


def test_no_start_is_waited_for_longer_than_runners_ask(engine, now, web):
    asking = new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=3700)
    silent = new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=3721)
    web.is_up = False

    watch(now, 0)

    assert state_of(asking.run) == Status.STARTING
    assert ended(silent.run) == (Status.FAILED, Reason.START_TIMEOUT)


def test_a_runner_that_is_heard_at_the_last_moment_is_neither_ended_nor_killed(engine, now, web, monkeypatch):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED, age_seconds=121)

    def claimed_meanwhile(_url, *, timeout):
        return Attempt.objects.filter(pk=attempt.pk).update(claimed_at=now) == 1

    monkeypatch.setattr(reachability, "is_ready", claimed_meanwhile)
    watch(now, 0)

    assert state_of(attempt.run) == Status.STARTING
    assert engine.cancels == []


def test_a_cancel_of_a_start_needs_no_web(engine, now, web):
    attempt = new_live_run(Status.CANCELLING, attempt=UNCLAIMED, age_seconds=121)
    web.is_up = False

    watch(now, 0)

    assert ended(attempt.run) == (Status.CANCELLED, Reason.CANCELLED)


# --- Lost -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("answer", ["unknown word", "failure", "missing executor"])
def test_silence_of_runner_and_engine_for_ten_minutes_is_a_loss(engine, engines, now, answer):
    silent = new_live_run(attempt={"age_seconds": 601})
    heard = new_live_run(attempt={"heartbeat_at": now - seconds(599)}, age_seconds=9000)
    engine.states = dict.fromkeys((silent.handle, heard.handle), "unknown")
    engine.failure = BROKEN if answer == "failure" else None
    engines.update({} if answer != "missing executor" else {"local": None})

    watch_live_attempts(now)

    assert ended(silent.run) == (Status.FAILED, Reason.LOST)
    assert state_of(heard.run) == Status.RUNNING


def test_a_loss_while_cancelling_is_a_cancel_that_nobody_confirmed(engine, now):
    attempt = new_live_run(Status.CANCELLING, attempt={"age_seconds": 601})
    engine.states[attempt.handle] = "unknown"

    watch_live_attempts(now)

    assert ended(attempt.run) == (Status.CANCELLED, Reason.CANCELLED_UNCONFIRMED)


def test_a_lost_run_is_restarted_when_asked(engine, now):
    attempt = new_live_run(attempt={"age_seconds": 601}, max_restarts=1)
    engine.states[attempt.handle] = "unknown"

    watch_live_attempts(now)

    assert state_of(attempt.run) == Status.QUEUED


def test_nobody_is_lost_who_could_not_be_heard(engine, now, web):
    attempt = new_live_run(attempt={"age_seconds": 700})
    engine.states[attempt.handle] = "unknown"
    web.is_up = False
    watch(now, 0, 3600, 7200)
    assert state_of(attempt.run) == Status.RUNNING

    web.is_up = True
    watch(now, 7300)
    assert ended(attempt.run) == (Status.FAILED, Reason.LOST)


def test_a_recovery_is_given_its_time_until_web_is_back(engine, now, web):
    attempt = new_live_run()
    engine.states[attempt.handle] = "ended"
    web.is_up = False
    watch(now, 0, 46, 600)
    assert state_of(attempt.run) == Status.RUNNING

    web.is_up = True
    watch(now, 700)
    assert ended(attempt.run) == (Status.FAILED, Reason.RUNNER_DIED)


def test_nobody_is_killed_who_may_be_saving_unheard(engine, now, web):
    attempt = new_live_run(Status.CANCELLING)
    web.is_up = False
    watch(now, 0, 60, 600)
    assert engine.cancels == [(attempt.handle, False)]

    web.is_up = True
    watch(now, 700)
    assert engine.cancels[1:] == [(attempt.handle, True)]


def test_a_handle_that_the_executor_does_not_know_is_no_reason_not_to_end(engine, now, monkeypatch):
    attempt = new_live_run(Status.CANCELLING, attempt=UNCLAIMED, age_seconds=121)
    engine.failure = SubmitRefused("an attempt's name holds letters, digits and _ alone")

    watch(now, 0)

    assert ended(attempt.run) == (Status.CANCELLED, Reason.CANCELLED)


# --- Cancel ---------------------------------------------------------------------------------------
def test_a_cancel_signals_once_and_leaves_the_grace_period(engine, now):
    attempt = new_live_run(Status.CANCELLING)

    watch(now, 0, 0.2, 5, 14)

    assert engine.cancels == [(attempt.handle, False)]
    assert state_of(attempt.run) == Status.CANCELLING


def test_a_signal_is_repeated_until_it_reaches_the_engine_and_the_grace_period_counts_from_then_on(engine, now):
    attempt = new_live_run(Status.CANCELLING)
    engine.failure = BROKEN
    watch(now, 0, 1, 6, 7, 100)
    assert engine.cancels == [(attempt.handle, False)] * 3

    engine.failure = None
    watch(now, 106, 110, 116, 120)
    assert engine.cancels == [(attempt.handle, False)] * 4
    watch(now, 122)
    assert engine.cancels[4:] == [(attempt.handle, True)]


def test_a_signal_is_repeated_as_long_as_no_runner_was_there_to_take_it(engine, now):
    attempt = new_live_run(Status.CANCELLING, attempt=UNCLAIMED)

    watch(now, 0, 1, 6, 7, 12, 16)

    assert engine.cancels == [*[(attempt.handle, False)] * 3, (attempt.handle, True)]


def test_a_kill_that_did_not_reach_the_engine_is_not_told(engine, now):
    attempt = new_live_run(Status.CANCELLING)
    watch(now, 0)
    engine.failure = BROKEN
    watch(now, 16)
    assert kinds(attempt.run) == []

    engine.failure = None
    watch(now, 27)
    assert kinds(attempt.run) == ["killed"]


def test_a_cancel_without_effect_is_pressed_hard_after_the_grace_period_and_again(engine, now):
    attempt = new_live_run(Status.CANCELLING)

    watch(now, 0, 16, 17, 20, 27, 28, 38)

    assert engine.cancels == [(attempt.handle, False), *[(attempt.handle, True)] * 3]
    assert kinds(attempt.run) == ["killed"]


def test_a_cancel_of_long_ago_still_leaves_the_grace_period_from_the_signal_on(engine, now):
    attempt = new_live_run(Status.CANCELLING, age_seconds=3600)

    watch(now, 0, 11, 14)

    assert engine.cancels == [(attempt.handle, False)]


def test_a_runner_that_delivers_the_last_of_it_is_not_killed(engine, now):
    attempt = new_live_run(Status.CANCELLING, attempt={"phase": "finishing"})

    watch(now, 0, 60, 600)

    assert engine.cancels == [(attempt.handle, False)]


def test_a_cancel_that_cannot_reach_the_engine_does_not_disturb_the_pass(engine, now):
    engine.failure = ExecutorError("scancel timed out")
    attempt, other = new_live_run(Status.CANCELLING), new_live_run(Status.CANCELLING)

    watch_live_attempts(now)

    assert sorted(engine.cancels) == sorted([(attempt.handle, False), (other.handle, False)])


# --- Gone -----------------------------------------------------------------------------------------
def test_a_dead_runner_is_recovered_and_given_time(engine, now):
    attempt = new_live_run()
    engine.states[attempt.handle] = "ended"

    watch(now, 0, 10, 44)

    assert engine.recoveries == [attempt.handle] * 3
    assert Attempt.objects.get(pk=attempt.pk).runner_gone_at == now
    assert state_of(attempt.run) == Status.RUNNING


@pytest.mark.parametrize(
    ("heard_at", "looked_at", "status"),
    [
        (2990, 3000, Status.RUNNING),
        (2960, 3000, Status.FAILED),
        (3990, 4000, Status.FAILED),
    ],
)
def test_a_recovery_that_is_heard_of_may_upload_for_an_hour(engine, now, heard_at, looked_at, status):
    attempt = new_live_run()
    engine.states[attempt.handle] = "ended"
    watch(now, 0)
    Attempt.objects.filter(pk=attempt.pk).update(phase="finishing", heartbeat_at=now + seconds(heard_at))

    watch(now, looked_at)

    assert state_of(attempt.run) == status


def test_a_run_whose_recovery_brings_nothing_ends_within_a_minute(engine, now):
    attempt = new_live_run()
    engine.states[attempt.handle] = "ended"

    watch(now, 0, 46)

    assert ended(attempt.run) == (Status.FAILED, Reason.RUNNER_DIED)
    assert attempt.run.reason_text.endswith("Evidence: as asked.")


def test_a_runner_that_died_before_it_claimed_is_a_failed_start(engine, now):
    attempt = new_live_run(Status.STARTING, attempt=UNCLAIMED)
    engine.states[attempt.handle] = "ended"

    watch(now, 0, 46)

    assert ended(attempt.run) == (Status.FAILED, Reason.START_FAILED)


def test_a_dead_runner_of_a_run_to_be_cancelled_is_a_cancel(engine, now):
    attempt = new_live_run(Status.CANCELLING)
    engine.states[attempt.handle] = "ended"

    watch(now, 0, 46)

    assert ended(attempt.run) == (Status.CANCELLED, Reason.CANCELLED)


def test_a_recovery_at_work_is_not_disturbed(engine, now):
    attempt = new_live_run()
    engine.states[attempt.handle] = "ended"
    watch(now, 0)
    engine.states[attempt.handle] = "running"

    watch(now, 46, 600)

    assert engine.recoveries == [attempt.handle]
    assert state_of(attempt.run) == Status.RUNNING


def test_a_runner_that_reported_its_end_while_we_looked_is_not_recovered(engine, now, monkeypatch):
    attempt = new_live_run()
    ask = engine.poll

    def end_and_ask(handles):
        Attempt.objects.filter(pk=attempt.pk).update(ended_at=now)
        return ask(handles)

    engine.states[attempt.handle] = "ended"
    monkeypatch.setattr(engine, "poll", end_and_ask)

    watch_live_attempts(now)

    assert engine.recoveries == []
