"""Limits of projects, and engines with queues of their own: who starts, who waits, and who is held up by whom."""

import pytest

from projects.models import Project
from runs.executors.base import Capacity
from runs.lifecycle import Status
from runs.models import Attempt, Run
from runs.scheduler import start
from runs.scheduler.start import start_waiting_runs
from runs.waiting import remedy_of
from tests.runs.builders import at_once, ended, new_live_run, new_run
from tests.runs.scheduler.conftest import Engine

pytestmark = pytest.mark.django_db


def limited(**limits):
    return Project.objects.create(name="limited", **limits)


def waiting_reason(run):
    return Run.objects.get(pk=run.pk).waiting_reason


def has_started(run):
    return ended(run)[0] == Status.STARTING


# --- Limits of projects ---------------------------------------------------------------------------
def test_a_project_starts_no_more_runs_than_it_may(engine, now):
    project = limited(max_running_runs=2)
    new_live_run(project=project)
    first, second = new_run(project=project, age_seconds=9), new_run(project=project, age_seconds=8)

    assert start_waiting_runs(now) == 1

    assert has_started(first)
    assert waiting_reason(second) == "Waits: this project may run 2 runs at once."
    assert "when a run of the project ends" in remedy_of(waiting_reason(second))


def test_a_project_uses_no_more_gpus_than_it_may(engine, now):
    engine.total = Capacity(slots=9, gpus=8)
    project = limited(max_gpus=4)
    new_live_run(project=project, attempt={"gpu_indexes": [0, 1, 2]})
    large, small = new_run(project=project, gpus=2, age_seconds=9), new_run(project=project, gpus=1, age_seconds=8)
    without_gpus = new_run(project=project, age_seconds=7)

    assert start_waiting_runs(now) == 1

    assert waiting_reason(large) == "Waits: this project may use 4 GPUs at once, 3 are taken."
    assert waiting_reason(small) == "Waits behind a run of this project that came first and waits for GPUs."
    assert has_started(without_gpus)


def test_what_a_project_may_use_is_kept_for_its_run_that_waits_for_room(engine, engines, now):
    engine.total = Capacity(slots=9, gpus=1)
    engines["other"] = Engine(gpus=4)
    new_live_run(attempt={"gpu_indexes": [0]})
    project = limited(max_running_runs=2, max_gpus=4)
    first = new_run(project=project, gpus=1, priority=9)
    second = new_run(project=project, gpus=4, priority=5, executor="other")
    third, fourth = new_run(project=project, age_seconds=9), new_run(project=project, age_seconds=8)

    assert start_waiting_runs(now) == 1

    assert waiting_reason(first) == "Needs 1 × 1 GPUs, 0 of 1 are free."
    assert waiting_reason(second) == "Waits: this project may use 4 GPUs at once, 1 are taken."
    assert has_started(third)
    assert waiting_reason(fourth) == "Waits: this project may run 2 runs at once."


def test_a_run_that_never_fits_keeps_nothing_of_its_projects_limits(engine, now):
    project = limited(max_running_runs=1)
    new_run(project=project, gpus=1, priority=9)
    other = new_run(project=project)

    assert start_waiting_runs(now) == 1

    assert has_started(other)


def test_a_run_that_needs_more_gpus_than_its_project_may_ever_use_says_so(engine, now):
    engine.total = Capacity(slots=9, gpus=8)
    run = new_run(project=limited(max_gpus=4), gpus=5)

    assert start_waiting_runs(now) == 0

    assert waiting_reason(run) == "Needs 1 × 5 GPUs, this project may use 4 at once."
    assert "never fits" in remedy_of(waiting_reason(run))


def test_a_run_that_its_project_holds_back_holds_up_nobody(engine, now):
    engine.total = Capacity(slots=9, gpus=8)
    project = limited(max_gpus=4, max_running_runs=1)
    new_live_run(project=project, attempt={"gpu_indexes": [0]})
    new_run(project=project, gpus=4, age_seconds=90, priority=50)
    other = new_run(gpus=7, age_seconds=1)

    assert start_waiting_runs(now) == 1

    assert has_started(other)


def test_a_simulated_run_counts_as_a_run_and_holds_no_gpu(engine, now):
    project = limited(max_running_runs=1, max_gpus=0)
    nothing = {"reserves_compute": False}
    first = new_run(project=project, gpus=8, recipe_snapshot=nothing, age_seconds=9)
    second = new_run(project=project, gpus=8, recipe_snapshot=nothing, age_seconds=8)

    assert start_waiting_runs(now) == 1

    assert has_started(first)
    assert waiting_reason(second) == "Waits: this project may run 1 run at once."


def test_a_limit_of_zero_pauses_a_project(engine, now):
    run = new_run(project=limited(max_running_runs=0))

    assert start_waiting_runs(now) == 0

    assert waiting_reason(run) == "Waits: this project may run 0 runs at once."


def test_limits_count_the_runs_of_a_project_on_all_executors(engine, engines, now):
    engines["other"] = Engine()
    project = limited(max_running_runs=1)
    new_live_run(project=project, executor="other")
    run = new_run(project=project)

    assert start_waiting_runs(now) == 0

    assert not has_started(run)


# --- Engines with a queue -------------------------------------------------------------------------
@pytest.fixture
def cluster(engines, engine):
    engines["local"] = other = Engine(slots=5, gpus=16, nodes=2, has_queue=True)
    return other


def test_an_engine_with_a_queue_gets_runs_up_to_its_slots_whatever_gpus_they_want(cluster, now):
    runs = [new_run(gpus=8, nodes=2, age_seconds=60 - number) for number in range(6)]

    assert start_waiting_runs(now) == 5

    assert waiting_reason(runs[5]) == "Waits for a free slot: 5 of 5 are in use."
    assert {request.gpu_indexes for request in cluster.requests} == {None}
    assert set(Attempt.objects.values_list("gpu_count", flat=True)) == {16}


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"nodes": 2, "gpus": 9}, "Needs 2 × 9 GPUs, this executor has 16."),
        ({"nodes": 3, "gpus": 1}, "Needs 3 nodes, this executor has 2."),
        ({"nodes": 3}, "Needs 3 nodes, this executor has 2."),
    ],
)
def test_what_an_engine_could_never_start_is_not_handed_over(cluster, now, wanted, text):
    run, other = new_run(**wanted, age_seconds=9), new_run(gpus=8)

    assert start_waiting_runs(now) == 1

    assert waiting_reason(run) == text
    assert has_started(other)


def test_gpus_asked_of_an_engine_count_against_the_projects_limit(cluster, now):
    project = limited(max_gpus=16)
    first, second = (new_run(project=project, gpus=8, nodes=2, age_seconds=9 - number) for number in range(2))

    assert start_waiting_runs(now) == 1

    assert has_started(first)
    assert waiting_reason(second) == "Waits: this project may use 16 GPUs at once, 16 are taken."


def test_starting_stops_after_a_while_and_goes_on_in_the_next_pass(engine, now, monkeypatch):
    monkeypatch.setattr(start, "START_SECONDS", -1)
    runs = [new_run(age_seconds=9 - number) for number in range(3)]

    assert [start_waiting_runs(now) for _ in range(2)] == [1, 1]

    assert [has_started(run) for run in runs] == [True, True, False]
    assert waiting_reason(runs[2]) == "Waits behind runs that come first."


def test_many_runs_that_cannot_start_hold_up_nobody_however_long_looking_takes(engine, now, monkeypatch):
    monkeypatch.setattr(start, "START_SECONDS", -1)
    monkeypatch.setattr(start, "LOOKED_AT_ONCE", 2)
    project = limited(max_running_runs=0)
    for number in range(5):
        new_run(project=project, age_seconds=9 + number)
    other = new_run()

    assert start_waiting_runs(now) == 1

    assert has_started(other)


# --- Two schedulers -------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_schedulers_at_once_keep_within_the_limits_of_a_project_on_all_executors(engine, engines, now):
    engine.total = Capacity(slots=50, gpus=64)
    engines["other"] = Engine(slots=50, gpus=64)
    project = limited(max_running_runs=5, max_gpus=8)
    for number in range(24):
        new_run(project=project, gpus=number % 3, executor=("local", "other")[number % 2], age_seconds=number)

    at_once(*[lambda: start_waiting_runs(now)] * 4)
    start_waiting_runs(now)

    held = Attempt.objects.filter(ended_at=None).values_list("gpu_count", flat=True)
    assert len(held) <= 5
    assert sum(held) <= 8
    assert len(held) == 5 or sum(held) >= 7
