"""The pass as a whole, and the loop that never gives up."""

import threading

import pytest
from django.db import OperationalError

from runs.lifecycle import Reason, Status
from runs.models import MetricBatch, Run
from runs.scheduler import loop
from runs.scheduler.loop import Clock, run_forever, run_pass
from runs.telemetry.append import append_metrics
from tests.runs.builders import ended, new_live_run, new_run


@pytest.fixture
def passes(monkeypatch, settings):
    """Passes that do what a test puts into the list, then stop the loop; nothing is waited for."""
    settings.SCHEDULER_INTERVAL_SECONDS = 0
    monkeypatch.setattr(loop, "WAIT_AFTER_ERROR_SECONDS", 0)
    stop, todo, done = threading.Event(), [], []

    def one_pass():
        problem = todo.pop(0)
        done.append(problem)
        if not todo:
            stop.set()
        if problem:
            raise problem

    monkeypatch.setattr(loop, "run_pass", one_pass)
    return stop, todo, done


@pytest.mark.django_db
def test_one_pass_starts_what_waits_and_watches_what_lives(engine, now):
    waiting, live = new_run(), new_live_run()

    run_pass(now)

    assert ended(waiting)[0] == Status.STARTING
    assert engine.polls == [{live.uid: live.handle}]


@pytest.mark.django_db
def test_one_pass_empties_the_inbox_of_a_run_that_has_ended(engine, now):
    attempt = new_live_run()
    points = {"step": [1], "time": [1], "value": [1.0]}
    append_metrics(attempt=attempt, sequence=1, columns={"loss": points})
    Run.objects.filter(pk=attempt.run_id).update(status=Status.COMPLETED, reason=Reason.FINISHED, completed_at=now)

    run_pass(now)

    assert not MetricBatch.objects.exists()


@pytest.mark.django_db
def test_folding_takes_a_bounded_share_of_a_pass(engine, now, monkeypatch):
    granted = []
    monkeypatch.setattr(loop, "fold_fullest", granted.append)

    run_pass(now)

    assert granted == [loop.FOLD_SECONDS]
    assert loop.FOLD_SECONDS <= 0.5


@pytest.mark.django_db
def test_a_run_that_ended_makes_room_in_the_same_pass(engine, now):
    engine.total = type(engine.total)(slots=1, gpus=0)
    unclaimed = {"claimed_at": None, "heartbeat_at": None}
    new_live_run(Status.STARTING, attempt=unclaimed, age_seconds=500)
    waiting = new_run()

    run_pass(now)

    assert ended(waiting)[0] == Status.STARTING


@pytest.mark.django_db
@pytest.mark.parametrize("problem", [OperationalError("the database is away"), RuntimeError("a mistake of ours")])
def test_an_error_does_not_end_the_loop(passes, problem):
    stop, todo, done = passes
    todo += [problem, None]

    run_forever(stop)

    assert done == [problem, None]


@pytest.mark.django_db
def test_chores_are_done_now_and_then(passes):
    stop, todo, _ = passes
    todo += [None, None, None]
    done = []

    run_forever(stop, chores=[lambda: done.append("swept")])

    assert done == ["swept"]


@pytest.mark.django_db
def test_a_chore_that_fails_holds_up_neither_the_loop_nor_the_other_chores(passes):
    stop, todo, passed = passes
    todo += [None, None]
    done = []

    run_forever(stop, chores=[lambda: {}["missing"], lambda: done.append("swept")])

    assert (passed, done) == ([None, None], ["swept"])


@pytest.mark.parametrize(("wall", "is_jump"), [(0, False), (59, False), (61, True), (-61, True), (86_400, True)])
def test_a_jump_of_the_clock_is_noticed_once(monkeypatch, wall, is_jump):
    times = {"wall": 1000.0, "monotonic": 50.0}
    monkeypatch.setattr(loop.time, "time", lambda: times["wall"])
    monkeypatch.setattr(loop.time, "monotonic", lambda: times["monotonic"])
    clock = Clock()

    times["wall"] += wall

    assert clock.has_jumped() == is_jump
    assert clock.has_jumped() is False


def test_a_long_pause_of_both_clocks_is_no_jump(monkeypatch):
    times = {"wall": 1000.0, "monotonic": 50.0}
    monkeypatch.setattr(loop.time, "time", lambda: times["wall"])
    monkeypatch.setattr(loop.time, "monotonic", lambda: times["monotonic"])
    clock = Clock()

    times["wall"] += 300
    times["monotonic"] += 300

    assert clock.has_jumped() is False
