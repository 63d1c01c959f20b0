"""Runs that have run for as long as they may, where the hub itself ends them."""

import pytest

from runs.attempts import finish_attempt
from runs.executors.base import Capacity
from runs.lifecycle import Reason, Status
from runs.models import Run
from runs.scheduler.watch import watch_live_attempts
from tests.factories import exit_body, fresh
from tests.runs.builders import ended, new_live_run
from tests.runs.scheduler.conftest import seconds

pytestmark = pytest.mark.django_db
LIMIT_SECONDS = 600


@pytest.fixture
def attempt(engine):
    """An attempt of a run that may run for ten minutes, and has."""
    live = new_live_run(attempt={"age_seconds": LIMIT_SECONDS + 1})
    Run.objects.filter(pk=live.run_id).update(compute={"time_limit_minutes": LIMIT_SECONDS // 60})
    return fresh(live)


def test_a_run_over_its_time_is_told_to_save_and_ended_after_the_grace(engine, attempt, now):
    watch_live_attempts(now)
    watch_live_attempts(now + seconds(14))
    assert engine.cancels == [(attempt.handle, False)]

    watch_live_attempts(now + seconds(16))

    assert engine.cancels == [(attempt.handle, False), (attempt.handle, True)]
    assert ended(attempt.run)[0] == Status.RUNNING


@pytest.mark.parametrize("report", [{"exit_code": 0}, {"exit_code": 143}, {"exit_code": None, "was_killed": True}])
def test_what_ends_then_has_reached_its_time_limit(engine, attempt, now, report):
    watch_live_attempts(now)

    finish_attempt(attempt=fresh(attempt), report=exit_body(was_stopped=True, **report))

    assert ended(attempt.run) == (Status.FAILED, Reason.TIME_LIMIT)


def test_a_trainer_that_finished_by_itself_has_finished(engine, attempt, now):
    watch_live_attempts(now)

    finish_attempt(attempt=fresh(attempt), report=exit_body())

    assert ended(attempt.run) == (Status.COMPLETED, Reason.FINISHED)


def test_a_run_with_time_left_goes_on(engine, attempt, now):
    Run.objects.filter(pk=attempt.run_id).update(compute={"time_limit_minutes": 60})

    watch_live_attempts(now)

    assert engine.cancels == []


def test_an_engine_with_a_queue_ends_its_jobs_itself(engine, attempt, now):
    engine.total = Capacity(slots=4, gpus=0, has_queue=True)

    watch_live_attempts(now)

    assert engine.cancels == []
