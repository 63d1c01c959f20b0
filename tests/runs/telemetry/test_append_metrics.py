"""Storing metric points: once, in order, only from the living attempt, and only what every reader can take."""

import math

import pytest

from runs.models import Attempt, MetricBatch, TelemetryCounter
from runs.telemetry.append import append_metrics
from runs.telemetry.series import read_series
from tests.runs.telemetry.builders import columns, end, new_attempt
from tests.runs.telemetry.model import MetricModel
from trainhub.errors import Fenced, SequenceGap

pytestmark = pytest.mark.django_db

ONE_POINT = {"loss": columns((1, 1000, 2.5))}


def values(attempt, key="loss"):
    return read_series(run_id=attempt.run_id, keys=[key])[key].value


def test_call_becomes_one_row_whatever_the_number_of_keys():
    attempt = new_attempt()

    append_metrics(attempt=attempt, sequence=1, columns={f"metric{i}": columns((1, 1, 1.0)) for i in range(40)})

    assert list(MetricBatch.objects.filter(run=attempt.run).values_list("points", "attempt_number")) == [(40, 1)]


def test_counter_knows_points_and_inbox():
    attempt = new_attempt()

    append_metrics(attempt=attempt, sequence=1, columns={"loss": columns((1, 1, 1.0), (2, 2, 2.0))})

    counter = TelemetryCounter.objects.get(run=attempt.run)
    assert (counter.metric_points, counter.inbox_points, counter.inbox_batches) == (2, 2, 1)


def test_batch_sent_twice_is_stored_once():
    attempt = new_attempt()
    append_metrics(attempt=attempt, sequence=1, columns=ONE_POINT)

    answer = append_metrics(attempt=attempt, sequence=1, columns=ONE_POINT)

    assert answer == 1
    assert values(attempt) == [2.5]


def test_batch_after_a_gap_is_refused_and_names_what_is_wanted():
    attempt = new_attempt()

    with pytest.raises(SequenceGap) as caught:
        append_metrics(attempt=attempt, sequence=2, columns=ONE_POINT)

    assert caught.value.extra == {"expected": 1}
    assert values(attempt) == []


def test_attempt_that_has_ended_is_fenced():
    attempt = new_attempt()
    end(attempt)

    with pytest.raises(Fenced):
        append_metrics(attempt=attempt, sequence=1, columns=ONE_POINT)

    assert not MetricBatch.objects.filter(run=attempt.run).exists()


@pytest.mark.parametrize("empty", [{}, {"loss": columns()}])
def test_batch_without_points_counts_as_stored(empty):
    attempt = new_attempt()

    append_metrics(attempt=attempt, sequence=1, columns=empty)

    assert Attempt.objects.get(pk=attempt.pk).metric_sequence == 1
    assert not MetricBatch.objects.filter(run=attempt.run).exists()


def test_sequences_of_logs_and_metrics_are_counted_apart():
    attempt = new_attempt(log_sequence=7)

    assert append_metrics(attempt=attempt, sequence=1, columns=ONE_POINT) == 1


def test_integers_of_64_bits_and_special_floats_are_kept_exactly():
    attempt = new_attempt()
    points = [(-(2**63), 2**63 - 1, math.inf), (0, -(2**63), -math.inf), (2**63 - 1, 0, 5e-324)]

    append_metrics(attempt=attempt, sequence=1, columns={"loss": columns(*points)})

    series = read_series(run_id=attempt.run_id, keys=["loss"])["loss"]
    assert list(zip(series.step, series.time, series.value, strict=True)) == points


@pytest.mark.parametrize(
    "wrong",
    [
        {"": columns((1, 1, 1.0))},
        {"k" * 251: columns((1, 1, 1.0))},
        {"nul\0": columns((1, 1, 1.0))},
        {"half\ud800": columns((1, 1, 1.0))},
        {"loss": columns((2**63, 1, 1.0))},
        {"loss": columns((1, -(2**63) - 1, 1.0))},
        {"loss": columns((1, 1, 10**400))},
        {"loss": columns((1.5, 1, 1.0))},
        {"loss": columns((1, 1, "NaN"))},
        {"loss": {"step": [1, 2], "time": [1, 2], "value": [1.0]}},
    ],
    ids=lambda wrong: ascii(next(iter(wrong.items())))[:40],
)
def test_what_could_not_be_read_again_is_refused_before_anything_is_stored(wrong):
    attempt = new_attempt()

    with pytest.raises(ValueError, match=r"metric key|must fit|differ in length"):
        append_metrics(attempt=attempt, sequence=1, columns={**ONE_POINT, **wrong})

    assert Attempt.objects.get(pk=attempt.pk).metric_sequence == 0


def test_crash_before_the_end_of_the_transaction_leaves_nothing_of_the_batch():
    model = MetricModel()

    model.crash([("loss", 1, 1, 1.0)])
    model.append([("loss", 2, 2, 2.0)])

    assert values(model.attempt) == [2.0]
    assert values(model.attempt, "lost") == []
