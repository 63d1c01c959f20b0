"""How metrics of many runs went, in a few points and two queries."""

import math

import pytest

from runs.telemetry.fold import fold_run
from runs.telemetry.sketches import SKETCH_POINTS, read_sketches
from tests.runs.telemetry.builders import columns, new_attempt, show_metrics

pytestmark = pytest.mark.django_db


def sketch(attempt, key="loss"):
    return read_sketches({attempt.run_id: key}).get(attempt.run_id)


def ramp(first, last, value=float):
    return columns(*((step, step, value(step)) for step in range(first, last)))


def test_few_points_are_shown_as_they_are():
    attempt = new_attempt()
    show_metrics(attempt=attempt, columns={"loss": columns((1, 1, 3.0), (2, 2, 2.0)), "other": columns((1, 1, 9.0))})

    assert (sketch(attempt).steps, sketch(attempt).values) == ([1, 2], [3.0, 2.0])


def test_many_points_become_means_and_the_last_one():
    attempt = new_attempt()
    show_metrics(attempt=attempt, columns={"loss": ramp(0, 4800)})

    points = sketch(attempt)

    assert len(points) == SKETCH_POINTS + 1
    assert points.values[0] == pytest.approx(49.5)
    assert (points.steps[-1], points.values[-1]) == (4799, 4799.0)


def test_folded_and_new_points_are_one_course():
    attempt = new_attempt()
    show_metrics(attempt=attempt, columns={"loss": ramp(0, 3000)})
    fold_run(run_id=attempt.run_id, everything=True)
    show_metrics(attempt=attempt, sequence=2, columns={"loss": ramp(3000, 6000)})

    points = sketch(attempt)

    assert list(points.steps) == sorted(points.steps)
    assert all(abs(step - value) < 150 for step, value in zip(points.steps, points.values, strict=True))
    assert points.values[-1] == 5999.0


def test_what_a_later_attempt_did_again_is_that_of_the_later_one():
    first = new_attempt()
    show_metrics(attempt=first, columns={"loss": columns((1, 1, 1.0), (2, 2, 2.0), (3, 3, 3.0))})
    second = new_attempt(first.run, number=2)
    show_metrics(attempt=second, columns={"loss": columns((2, 4, 20.0), (3, 5, 30.0))})

    assert sketch(second).values == [1.0, 20.0, 30.0]


def test_a_stretch_without_a_number_is_a_gap():
    attempt = new_attempt()
    show_metrics(attempt=attempt, columns={"loss": ramp(0, 480, lambda step: math.nan if step < 20 else 1.0)})

    values = sketch(attempt).values

    assert math.isnan(values[0])
    assert values[-1] == 1.0


def test_runs_without_the_metric_are_left_out():
    attempt = new_attempt()
    show_metrics(attempt=attempt, columns={"other": columns((1, 1, 9.0))})

    assert read_sketches({attempt.run_id: "loss"}) == {}


def test_each_run_has_a_metric_of_its_own():
    one, other = new_attempt(), new_attempt()
    both = {"a": columns((1, 1, 1.0)), "b": columns((1, 1, 2.0))}
    show_metrics(attempt=one, columns=both)
    show_metrics(attempt=other, columns=both)
    fold_run(run_id=one.run_id, everything=True)

    found = read_sketches({one.run_id: "a", other.run_id: "b"})

    assert (list(found[one.run_id].values), list(found[other.run_id].values)) == ([1.0], [2.0])


@pytest.mark.parametrize(("count", "queries"), [(0, 0), (1, 2), (5, 2)])
def test_many_runs_cost_two_queries(count, queries, django_assert_num_queries):
    attempts = [new_attempt() for _ in range(count)]
    for attempt in attempts:
        show_metrics(attempt=attempt, columns={"loss": ramp(0, 100)})

    with django_assert_num_queries(queries):
        assert len(read_sketches({attempt.run_id: "loss" for attempt in attempts})) == count
