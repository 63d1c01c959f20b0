"""The newest values: at once for a new run, then once a second, and right whatever the order of points."""

import math
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs.models import RunMetric, TelemetryCounter
from runs.telemetry.append import append_metrics
from runs.telemetry.fold import fold_run
from runs.telemetry.newest import refresh_newest, runs_to_refresh
from tests.runs.telemetry.builders import columns, new_attempt

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def newest(attempt, key="loss"):
    return RunMetric.objects.filter(run=attempt.run, key=key).values_list("step", "time", "value", "special").get()


def send(attempt, sequence, *points, now=NOON):
    """A batch, and a pass of the scheduler at that time."""
    append_metrics(attempt=attempt, sequence=sequence, columns={"loss": columns(*points)})
    refresh(now)


def refresh(now):
    due = runs_to_refresh(limit=10, now=now)
    refresh_newest(run_ids=due, now=now)
    return due


def send_one_by_one(attempt, points):
    for sequence, point in enumerate(points, start=1):
        send(attempt, sequence, point, now=at(10 * sequence))


def test_first_batch_shows_with_the_next_pass():
    attempt = new_attempt()

    send(attempt, 1, (1, 10, 0.5), now=NOON)

    assert newest(attempt) == (1, 10, 0.5, "")


def test_second_batch_within_a_second_shows_when_the_second_is_over():
    attempt = new_attempt()
    send(attempt, 1, (1, 10, 0.5), now=at(0))
    send(attempt, 2, (5, 50, 9.0), now=at(0.9))
    before = newest(attempt)

    send(attempt, 3, (2, 20, 0.1), now=at(1))

    assert before == (1, 10, 0.5, "")
    assert newest(attempt) == (5, 50, 9.0, "")
    assert RunMetric.objects.get(run=attempt.run).minimum == 0.1


def test_clock_of_the_hub_set_back_does_not_stop_the_newest_values():
    attempt = new_attempt()
    send(attempt, 1, (1, 10, 0.5), now=at(0))

    send(attempt, 2, (2, 20, 0.4), now=at(-3600))

    assert newest(attempt) == (2, 20, 0.4, "")


def test_run_that_went_silent_is_found_and_brought_up_to_date():
    attempt = new_attempt()
    send(attempt, 1, (1, 10, 0.5), now=at(0))
    send(attempt, 2, (2, 20, 0.4), now=at(0.5))

    found = refresh(at(2))

    assert found == [attempt.run_id]
    assert newest(attempt) == (2, 20, 0.4, "")
    assert refresh(at(9)) == []


def test_counts_that_went_wrong_are_set_right_when_nothing_waits():
    attempt = new_attempt()
    send(attempt, 1, (1, 10, 0.5), now=at(0))
    TelemetryCounter.objects.filter(run=attempt.run).update(newest_points=0)

    found = refresh(at(2))

    assert found == [attempt.run_id]
    assert refresh(at(4)) == []


def test_more_batches_than_one_pass_takes_are_taken_by_the_next():
    attempt = new_attempt()
    for sequence in range(1, 6):
        append_metrics(attempt=attempt, sequence=sequence, columns={"loss": columns((sequence, 1, 1.0))})

    with mock.patch("runs.telemetry.newest._MERGED_AT_ONCE", 3):
        refresh(at(0))
        before = newest(attempt)
        refresh(at(1))

    assert (before[0], newest(attempt)[0]) == (3, 5)


def test_folding_brings_the_newest_values_up_to_date():
    attempt = new_attempt()
    send(attempt, 1, (1, 10, 0.5), now=at(0))
    send(attempt, 2, (2, 20, 0.4), now=at(0.5))

    fold_run(run_id=attempt.run_id, now=at(0.6))

    assert newest(attempt) == (2, 20, 0.4, "")


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(3, 1, 1.0), (2, 9, 2.0)], (3, 1, 1.0, "")),
        ([(3, 1, 1.0), (3, 2, 0.5), (3, 1, 9.0)], (3, 2, 0.5, "")),
        ([(3, 1, 1.0), (3, 1, 2.0), (3, 1, math.nan)], (3, 1, 2.0, "")),
        ([(3, 1, 1.0), (4, 1, math.nan)], (4, 1, None, "NaN")),
        ([(3, 1, math.inf), (3, 1, 2.0)], (3, 1, None, "Infinity")),
        ([(3, 1, -math.inf), (3, 1, math.nan)], (3, 1, None, "-Infinity")),
    ],
)
def test_newest_is_the_greatest_step_then_time_then_value_with_nan_below_numbers(points, expected):
    together, apart = new_attempt(), new_attempt()

    send(together, 1, *points)
    send_one_by_one(apart, points)

    assert newest(together) == expected
    assert newest(apart) == expected


def test_extremes_are_over_finite_values_of_all_batches():
    attempt = new_attempt()
    send(attempt, 1, (1, 1, 5.0), (2, 2, math.nan), now=at(0))

    send(attempt, 2, (3, 3, math.inf), (4, 4, -7.0), now=at(10))

    assert RunMetric.objects.filter(run=attempt.run).values_list("minimum", "maximum").get() == (-7.0, 5.0)


def test_metric_without_finite_values_has_no_extremes():
    attempt = new_attempt()

    send(attempt, 1, (1, 1, math.nan))

    assert RunMetric.objects.filter(run=attempt.run).values_list("minimum", "maximum").get() == (None, None)


def test_attempt_that_restarted_further_back_is_newer_than_what_it_undid():
    first = new_attempt()
    send(first, 1, (1000, 1, math.nan), now=at(0))
    second = new_attempt(first.run, number=2)

    send(second, 1, (801, 2, 0.3), now=at(60))

    assert newest(second) == (801, 2, 0.3, "")


def test_other_runs_are_left_alone():
    one, other = new_attempt(), new_attempt()
    send(one, 1, (1, 1, 1.0))

    send(other, 1, (2, 2, 2.0))

    assert newest(one) == (1, 1, 1.0, "")


def test_many_runs_are_brought_up_to_date_in_as_many_queries_as_two():
    few, many = [new_attempt() for _ in range(2)], [new_attempt() for _ in range(12)]

    assert queries_of_a_refresh(few) == queries_of_a_refresh(many)
    assert [newest(attempt)[0] for attempt in many] == list(range(12))


def queries_of_a_refresh(attempts):
    for step, attempt in enumerate(attempts):
        append_metrics(
            attempt=attempt, sequence=1, columns={f"m{step}": columns((1, 1, 1.0)), "loss": columns((step, 1, 1.0))}
        )
    with CaptureQueriesContext(connection) as captured:
        refresh_newest(run_ids=[attempt.run_id for attempt in attempts], now=NOON)
    return len(captured)


def test_a_run_that_is_up_to_date_is_not_read_again_for_one_that_lags_behind():
    ahead, behind = new_attempt(), new_attempt()
    send(ahead, 1, (5, 1, 1.0), now=at(0))
    append_metrics(attempt=behind, sequence=1, columns={"loss": columns((1, 1, 1.0))})
    RunMetric.objects.filter(run=ahead.run).delete()

    refresh_newest(run_ids=[ahead.run_id, behind.run_id], now=at(5))

    assert newest(behind) == (1, 1, 1.0, "")
    assert not RunMetric.objects.filter(run=ahead.run).exists()
