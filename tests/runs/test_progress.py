"""How long a run will still take: by the pace of its newest attempt alone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from runs.models import Attempt, Run
from runs.progress import remaining_seconds
from tests.runs.builders import new_attempt, new_checkpoint, new_run
from tests.runs.telemetry.builders import columns, show_metrics

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def training(*, progress, seconds=100, heard=0, **attempt):
    """A run that has trained for `seconds`, heard of `heard` seconds ago."""
    run = new_run("running", progress=progress)
    moments = {"started_at": NOW - timedelta(seconds=seconds), "heartbeat_at": NOW - timedelta(seconds=heard)}
    return new_attempt(run, **{**moments, **attempt}).run


def remaining(run):
    return remaining_seconds(Run.objects.with_details().get(pk=run.pk), now=NOW)


def test_a_quarter_done_in_100_seconds_leaves_300():
    assert remaining(training(progress=0.25)) == pytest.approx(300)


def test_the_time_since_the_last_sign_of_life_counts():
    assert remaining(training(progress=0.5, seconds=110, heard=10)) == pytest.approx(90)


def test_what_is_over_due_is_not_negative():
    assert remaining(training(progress=0.999, seconds=110, heard=10)) == 0


@pytest.mark.parametrize(
    "run",
    [
        {"progress": 0.0},
        {"progress": 0.1, "seconds": 2},
        {"progress": 0.5, "started_at": None},
        {"progress": 0.5, "heartbeat_at": None},
        {"progress": 0.5, "seconds": 1000, "heard": 600},
    ],
    ids=["no progress", "just begun", "not begun", "never heard", "unreachable"],
)
def test_nothing_is_told_when_nobody_can_tell(run):
    assert remaining(training(**run)) is None


@pytest.mark.parametrize("status", ["queued", "starting", "cancelling", "completed"])
def test_nothing_is_told_of_a_run_that_does_not_train(status):
    run = new_run(status, progress=0.5)
    new_attempt(run, age_seconds=100)

    assert remaining(run) is None


def test_what_came_with_the_checkpoint_was_not_this_attempts_work():
    origin = new_checkpoint(new_run("completed"), 50)
    run = training(progress=0.75, resume_from=origin)
    show_metrics(attempt=run.attempts.get(), columns={"loss": columns((75, 1, 1.0))})

    assert remaining(run) == pytest.approx(100)


def test_a_resumed_run_without_a_point_of_its_own_says_nothing():
    assert remaining(training(progress=0.5, resume_from=new_checkpoint(new_run("completed"), 50))) is None


def test_a_restart_does_not_count_the_progress_of_the_attempt_before():
    run = training(progress=0.9)
    Attempt.objects.filter(run=run).update(ended_at=NOW)
    new_attempt(run, started_at=NOW - timedelta(seconds=100), heartbeat_at=NOW)

    assert remaining(run) is None


def test_asking_for_a_list_costs_no_query(django_assert_num_queries):
    training(progress=0.75, resume_from=new_checkpoint(new_run("completed"), 50))
    runs = list(Run.objects.with_details())

    with django_assert_num_queries(0):
        assert [remaining_seconds(run, now=NOW) for run in runs] == [None, None]
