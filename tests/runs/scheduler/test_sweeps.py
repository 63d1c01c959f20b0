"""Slices of work between passes: bounded, paced, and quiet when there is nothing."""

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from artifacts.erasure import ErasureSweep
from runs.deletion import delete_run
from runs.models import Run
from runs.scheduler import loop, sweeps
from runs.scheduler.loop import run_forever
from runs.scheduler.sweeps import LEFTOVERS_EVERY, MARKED_AT_ONCE, RULES_EVERY, Sweep, telemetry_sweeps
from tests.factories import fresh
from tests.runs.retained import ended_run, keep_for, rows_of


@pytest.fixture
def clock(monkeypatch):
    """A list whose one item is the monotonic time in seconds, for the pacing alone."""
    now = [100.0]
    monkeypatch.setattr(sweeps.time, "monotonic", lambda: now[0])
    return now


def paced(answers):
    done = []

    def work():
        done.append(len(done))
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Sweep(work, every=LEFTOVERS_EVERY), done


def test_a_sweep_goes_on_at_once_while_there_is_more(clock):
    sweep, done = paced([True, True, False])

    [sweep() for _ in range(5)]

    assert len(done) == 3


def test_a_sweep_with_nothing_to_do_looks_again_after_its_time(clock):
    sweep, done = paced([False, False])
    sweep()
    clock[0] += LEFTOVERS_EVERY.total_seconds() - 0.1
    sweep()
    seen = len(done)

    clock[0] += 0.2
    sweep()

    assert (seen, len(done)) == (1, 2)


def test_a_sweep_that_fails_is_logged_and_tried_after_its_time(clock, caplog):
    sweep, done = paced([RuntimeError("a mistake of ours"), False])
    [sweep() for _ in range(3)]
    seen = len(done)

    clock[0] += LEFTOVERS_EVERY.total_seconds()
    sweep()

    assert (seen, len(done)) == (1, 2)
    assert "a mistake of ours" in caplog.text


def test_a_database_that_is_away_is_the_loops_affair_and_does_not_hurry(clock):
    sweep, done = paced([OperationalError("away"), False])
    with pytest.raises(OperationalError):
        sweep()

    sweep()

    assert len(done) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("jumps", "expected"), [([False, False], 2), ([True, False], 1)])
def test_the_loop_sweeps_after_each_pass_and_not_after_a_jump_of_the_clock(monkeypatch, settings, jumps, expected):
    settings.SCHEDULER_INTERVAL_SECONDS = 0
    stop, done, waiting = threading.Event(), [], list(jumps)
    monkeypatch.setattr(loop, "run_pass", lambda: None)

    def has_jumped(_):
        answer = waiting.pop(0)
        if not waiting:
            stop.set()
        return answer

    monkeypatch.setattr(loop.Clock, "has_jumped", has_jumped)

    run_forever(stop, sweeps=[lambda: done.append("swept")])

    assert len(done) == expected


@pytest.mark.django_db
def test_the_schedulers_sweeps_carry_out_retention_and_deletion(project, admin, monkeypatch):
    old, gone = ended_run(project, days=6), ended_run(project, days=0)
    keep_for(project, log=5, metrics=5)
    delete_run(run=gone, by=admin)
    monkeypatch.setattr("runs.deletion.ERASED_AFTER", LEFTOVERS_EVERY * 0)

    all_sweeps = [*telemetry_sweeps(), Sweep(ErasureSweep(), every=timedelta(0))]

    for _ in range(20):  # a slice is bounded by time: on a busy machine the work takes several
        [sweep() for sweep in all_sweeps]
        if not Run.objects.filter(pk=gone.pk).exists() and not rows_of(old):
            break

    assert (rows_of(old), fresh(old).log_removed_at is not None) == (0, True)
    assert not Run.objects.filter(pk=gone.pk).exists()


@pytest.mark.django_db
def test_a_slice_marks_no_more_than_its_limit_and_says_that_there_is_more(project, monkeypatch):
    runs = [ended_run(project, days=6, points=0) for _ in range(3)]
    keep_for(project, log=5)
    monkeypatch.setattr(sweeps, "MARKED_AT_ONCE", 2)

    assert [sweeps.carry_out_retention() for _ in range(3)] == [True, True, False]
    assert all(fresh(run).log_removed_at for run in runs)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("work", "queries"), [(sweeps.carry_out_retention, 2), (sweeps.remove_some_leftovers, 1), (ErasureSweep(), 1)]
)
def test_a_sweep_without_work_asks_next_to_nothing(project, work, queries):
    ended_run(project, days=6)

    with CaptureQueriesContext(connection) as asked:
        assert work() is False

    assert len(asked) == queries


def test_slices_are_small():
    assert sweeps.SLICE_SECONDS <= 0.2
    assert MARKED_AT_ONCE <= 50
    assert RULES_EVERY >= LEFTOVERS_EVERY
