"""The scheduler's sign of life."""

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from runs.models import SchedulerBeat
from runs.scheduler import beat as beats
from runs.scheduler import loop
from runs.scheduler.beat import Beat, beating, last_beat

pytestmark = pytest.mark.django_db


def test_a_pass_is_noted_once_in_a_while_and_the_longest_in_between_is_kept(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(beats.time, "monotonic", lambda: clock[0])
    beat = Beat()

    beat(0.1)
    beat(0.7)
    beat(0.2)
    assert last_beat().pass_seconds == 0.1
    clock[0] += beats.BEAT_SECONDS
    beat(0.3)

    assert last_beat().pass_seconds == 0.7
    assert SchedulerBeat.objects.count() == 1


def test_a_scheduler_that_ends_in_order_is_not_missed():
    beat = Beat()
    beat(0.1)

    beat.end()

    assert last_beat() is None


def test_one_that_was_killed_is_late_and_later_forgotten():
    Beat()(0.1)
    assert len(beating()) == 1
    assert beating(timezone.now() + timedelta(seconds=beats.LATE_AFTER_SECONDS + 1)) == []
    SchedulerBeat.objects.update(pid=1, seen_at=timezone.now() - timedelta(days=2))

    Beat()(0.1)

    assert [beat.pid == 1 for beat in SchedulerBeat.objects.all()] == [False]


def test_a_pass_that_fails_is_no_sign_of_life(monkeypatch, caplog):
    stop, seen = threading.Event(), []

    def fail(now=None):
        stop.set()
        raise ValueError("broken")

    monkeypatch.setattr(loop, "run_pass", fail)
    monkeypatch.setattr(loop, "WAIT_AFTER_ERROR_SECONDS", 0.0)

    loop.run_forever(stop, beat=seen.append)

    assert seen == []
    assert "a scheduler pass failed" in caplog.text
