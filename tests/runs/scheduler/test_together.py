"""Several schedulers at once: nothing is started twice, no slot and no GPU is given twice."""

from collections import Counter

import pytest

from runs.attempts import open_attempt
from runs.executors.base import Capacity
from runs.lifecycle import Reason, Status
from runs.models import Attempt, Run
from runs.scheduler.start import start_waiting_runs, submit_forgotten_attempts
from runs.scheduler.watch import watch_live_attempts
from tests.runs.builders import at_once, ended, kinds, new_live_run, new_run
from tests.runs.scheduler.conftest import seconds

pytestmark = pytest.mark.django_db(transaction=True)
SCHEDULERS = 4


def test_schedulers_at_once_start_every_run_once(engine, now):
    engine.total = Capacity(slots=20, gpus=0)
    runs = [new_run(age_seconds=number) for number in range(12)]

    counts = at_once(*[lambda: start_waiting_runs(now)] * SCHEDULERS)

    assert sum(counts) == 12
    assert set(Counter(engine.submitted).values()) == {1}
    assert Attempt.objects.count() == 12
    assert {tuple(kinds(run)) for run in runs} == {("starting",)}


def test_schedulers_at_once_give_no_slot_and_no_gpu_twice(engine, now):
    engine.total = Capacity(slots=5, gpus=6)
    for number in range(9):
        new_run(age_seconds=number, gpus=2 if number % 2 else 1)

    at_once(*[lambda: start_waiting_runs(now)] * SCHEDULERS)
    start_waiting_runs(now)

    given = [index for attempt in Attempt.objects.all() for index in attempt.gpu_indexes]
    assert sorted(given) == sorted(set(given))
    assert Attempt.objects.count() <= 5
    assert engine.requests


def test_schedulers_at_once_find_a_forgotten_attempt_without_an_error(engine, now):
    attempt = open_attempt(run=new_run(), gpu_indexes=[])

    at_once(*[lambda: submit_forgotten_attempts(attempt.created_at + seconds(6))] * SCHEDULERS)

    attempt.refresh_from_db()
    assert set(engine.submitted) == {attempt.uid}
    assert attempt.handle == f"job-{attempt.uid}"


def test_schedulers_at_once_end_a_lost_run_once(engine, now):
    attempt = new_live_run(attempt={"age_seconds": 601})
    engine.states[attempt.handle] = "unknown"

    answers = at_once(*[lambda: watch_live_attempts(now)] * SCHEDULERS)

    assert answers == [None] * SCHEDULERS
    assert ended(attempt.run) == (Status.FAILED, Reason.LOST)
    assert kinds(attempt.run) == ["failed"]


def test_a_cancel_at_the_moment_of_the_start_ends_the_run_either_way(engine, now, django_user_model):
    from runs.services import cancel_run

    user = django_user_model.objects.create(username="ann")
    runs = [new_run(age_seconds=number) for number in range(4)]

    at_once(
        lambda: start_waiting_runs(now),
        *[lambda run=run: cancel_run(run=Run.objects.get(pk=run.pk), by=user) for run in runs],
    )

    states = {ended(run)[0] for run in runs}
    assert states <= {Status.CANCELLED, Status.CANCELLING}
    live = Attempt.objects.filter(ended_at=None).count()
    assert live == sum(ended(run)[0] == Status.CANCELLING for run in runs)
