"""Values at the steps of checkpoints: at the step or just before it, of the attempt that wrote the checkpoint."""

import math

import pytest

from runs.models import Run
from runs.telemetry.append import append_metrics
from runs.telemetry.at_steps import Mark, ValueAt, read_values_at
from runs.telemetry.fold import fold_run
from tests.runs.telemetry.builders import columns, new_attempt, new_checkpoint, new_run, show_metrics
from tests.runs.telemetry.model import small_chunks

pytestmark = pytest.mark.django_db


def every(step, last, *, offset=0.0):
    """A value at each `step` steps up to `last`: the step itself and `offset`."""
    return columns(*[(at, at, at + offset) for at in range(step, last + 1, step)])


def values_of(run, *marks, keys=("loss",)):
    _, found = read_values_at(run_id=run.pk, marks=[Mark(*mark) for mark in marks], choose=lambda _: keys)
    return found


def test_a_value_at_the_step_itself_is_taken():
    attempt = new_attempt()
    show_metrics(attempt=attempt, columns={"loss": every(1, 500)})

    assert values_of(attempt.run, (400, 1)) == [{"loss": ValueAt(400, 400.0)}]


def test_else_the_nearest_before_the_step_is_taken_and_says_its_step():
    attempt = new_attempt()
    show_metrics(attempt=attempt, columns={"loss": every(7, 500)})

    assert values_of(attempt.run, (400, 1)) == [{"loss": ValueAt(399, 399.0)}]


@pytest.mark.parametrize(("step", "is_near"), [(100, True), (110, True), (112, False), (50, False), (1000, False)])
def test_a_value_counts_up_to_a_tenth_of_the_way_back(step, is_near):
    attempt = new_attempt()
    show_metrics(attempt=attempt, columns={"loss": columns((100, 1, 2.5))})

    assert values_of(attempt.run, (step, 1)) == [{"loss": ValueAt(100, 2.5)} if is_near else {}]


def test_of_a_long_run_a_value_counts_up_to_a_thousand_steps_back():
    attempt = new_attempt()
    show_metrics(attempt=attempt, columns={"loss": columns((1_000_000, 1, 2.5))})

    assert values_of(attempt.run, (1_001_000, 1), (1_001_001, 1)) == [{"loss": ValueAt(1_000_000, 2.5)}, {}]


def test_what_a_restart_undid_does_not_count():
    first = new_attempt()
    show_metrics(attempt=first, columns={"loss": every(1, 100)})
    restored = new_checkpoint(first.run, 50)
    second = new_attempt(first.run, number=2, resume_from=restored)
    show_metrics(attempt=second, columns={"loss": columns((60, 1, 0.5))})

    assert values_of(first.run, (65, 2)) == [{"loss": ValueAt(60, 0.5)}]


def test_a_checkpoint_that_a_restart_undid_keeps_the_values_of_its_own_attempt():
    first = new_attempt()
    show_metrics(attempt=first, columns={"loss": every(1, 100)})
    second = new_attempt(first.run, number=2, resume_from=new_checkpoint(first.run, 50))
    show_metrics(attempt=second, columns={"loss": every(1, 100, offset=0.5)})

    assert values_of(first.run, (90, 1), (90, 2)) == [{"loss": ValueAt(90, 90.0)}, {"loss": ValueAt(90, 90.5)}]


def test_a_value_that_is_no_number_is_told():
    attempt = new_attempt()
    show_metrics(attempt=attempt, columns={"loss": columns((1, 1, 1.0), (2, 2, math.nan))})

    assert math.isnan(values_of(attempt.run, (2, 1))[0]["loss"].value)


def test_the_metrics_to_read_are_chosen_among_those_of_the_run():
    attempt = new_attempt()
    show_metrics(attempt=attempt, columns={"loss": every(1, 9), "lr": every(1, 9)})

    names, values = read_values_at(run_id=attempt.run_id, marks=[Mark(9, 1)], choose=sorted)

    assert names == ["loss", "lr"]
    assert values == [{"loss": ValueAt(9, 9.0), "lr": ValueAt(9, 9.0)}]


def test_a_run_without_metrics_has_none():
    assert values_of(new_run(), (5, 1), (6, None)) == [{}, {}]


def test_a_removed_history_has_no_values():
    attempt = new_attempt()
    show_metrics(attempt=attempt, columns={"loss": every(1, 9)})
    Run.objects.filter(pk=attempt.run_id).update(metrics_removed_at="2024-01-01T00:00:00Z")

    assert values_of(attempt.run, (9, 1)) == [{}]


@pytest.mark.parametrize("folded", [0, 150, 400])
def test_chunks_sections_and_inbox_give_the_same(folded, django_assert_max_num_queries):
    attempt = new_attempt()
    marks = [(step, 1) for step in (1, 33, 150, 151, 399, 400)]
    with small_chunks(in_list=500):
        for sequence, first in enumerate(range(1, 401, 10), start=1):
            batch = columns(*[(step, step, step / 2) for step in range(first, first + 10)])
            append_metrics(attempt=attempt, sequence=sequence, columns={"loss": batch, "val_loss": batch})
            if first < folded:
                fold_run(run_id=attempt.run_id, everything=True)
        with django_assert_max_num_queries(6):
            found = values_of(attempt.run, *marks, keys=("loss", "val_loss"))

    wanted = [ValueAt(step, step / 2) for step, _ in marks]
    assert found == [{"loss": value, "val_loss": value} for value in wanted]
