"""Folding: nothing lost, nothing doubled, bounded, whatever comes between."""

import math

import pytest
from django.utils import timezone

from runs.lifecycle import Reason, Status
from runs.models import MetricBatch, MetricChunk, Run, TelemetryCounter
from runs.telemetry import fold
from runs.telemetry.append import append_metrics
from runs.telemetry.fold import fold_fullest, fold_run, runs_to_fold
from runs.telemetry.point_packing import unpack_points
from tests.runs.telemetry.builders import columns, new_attempt
from tests.runs.telemetry.model import Crash, MetricModel, small_chunks

pytestmark = pytest.mark.django_db


def send(attempt, sequence, *points, key="loss"):
    append_metrics(attempt=attempt, sequence=sequence, columns={key: columns(*points)})


def send_one_by_one(attempt, count):
    for sequence in range(1, count + 1):
        send(attempt, sequence, (sequence, 1, 1.0))


def steps_of_chunks(run):
    chunks = MetricChunk.objects.filter(run=run).order_by("key", "attempt_number", "id")
    return [list(unpack_points(chunk.payload).steps) for chunk in chunks]


def test_inbox_moves_into_chunks_and_the_counter_follows():
    attempt = new_attempt()
    send(attempt, 1, (1, 1, 1.0), (2, 2, 2.0))
    send(attempt, 2, (3, 3, 3.0))

    moved = fold_run(run_id=attempt.run_id)

    counter = TelemetryCounter.objects.get(run=attempt.run)
    assert moved == 3
    assert steps_of_chunks(attempt.run) == [[1, 2, 3]]
    assert not MetricBatch.objects.filter(run=attempt.run).exists()
    assert (counter.metric_points, counter.inbox_points, counter.inbox_batches) == (3, 0, 0)


def test_short_chunk_is_topped_up_by_the_next_fold():
    attempt = new_attempt()
    with small_chunks(points=4):
        send(attempt, 1, *[(step, step, 1.0) for step in range(3)])
        fold_run(run_id=attempt.run_id)
        send(attempt, 2, *[(step, step, 1.0) for step in range(3, 9)])
        fold_run(run_id=attempt.run_id)

    assert steps_of_chunks(attempt.run) == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


def test_keys_and_attempts_have_chunks_of_their_own():
    first = new_attempt()
    send(first, 1, (1, 1, 1.0), key="a")
    send(first, 2, (1, 1, 1.0), key="b")
    second = new_attempt(first.run, number=2)
    send(second, 1, (1, 1, 1.0), key="a")

    fold_run(run_id=first.run_id)

    chunks = MetricChunk.objects.filter(run=first.run).order_by("id")
    assert sorted(chunks.values_list("key", "attempt_number")) == [("a", 1), ("a", 2), ("b", 1)]


def test_chunk_summarizes_its_finite_values():
    attempt = new_attempt()
    send(attempt, 1, (7, 70, 4.0), (5, 90, math.nan), (6, 60, 1.0), (6, 50, -math.inf))

    fold_run(run_id=attempt.run_id)

    chunk = MetricChunk.objects.get(run=attempt.run)
    assert (chunk.first_step, chunk.last_step, chunk.first_time, chunk.last_time) == (5, 7, 50, 90)
    assert (chunk.points, chunk.finite, chunk.minimum, chunk.maximum) == (4, 2, 1.0, 4.0)
    assert (chunk.total, chunk.last) == (5.0, 4.0)


def test_chunk_without_finite_values_has_no_summary_of_them():
    attempt = new_attempt()
    send(attempt, 1, (1, 1, math.nan), (2, 2, math.inf))

    fold_run(run_id=attempt.run_id)

    chunk = MetricChunk.objects.get(run=attempt.run)
    assert (chunk.finite, chunk.minimum, chunk.maximum, chunk.total, chunk.last) == (0, None, None, None, None)


def test_sum_that_overflows_is_left_out():
    attempt = new_attempt()
    send(attempt, 1, (1, 1, 1.7e308), (2, 2, 1.7e308))

    fold_run(run_id=attempt.run_id)

    assert MetricChunk.objects.get(run=attempt.run).total is None


def test_fold_of_an_empty_inbox_does_nothing():
    assert fold_run(run_id=new_attempt().run_id, everything=True) == 0


def test_one_call_folds_a_bounded_number_of_batches_and_everything_means_all():
    attempt = new_attempt()
    with small_chunks():
        send_one_by_one(attempt, 8)
        first = fold_run(run_id=attempt.run_id)
        rest = fold_run(run_id=attempt.run_id, everything=True)

    assert (first, rest) == (3, 5)


def test_one_call_folds_a_bounded_number_of_points(monkeypatch):
    monkeypatch.setattr(fold, "_STEP_POINTS", 3)
    attempt = new_attempt()
    send(attempt, 1, (1, 1, 1.0), (2, 1, 1.0))
    send(attempt, 2, (3, 1, 1.0), (4, 1, 1.0))

    assert fold_run(run_id=attempt.run_id) == 2


def test_crash_while_folding_changes_nothing():
    model = MetricModel()
    model.append([("loss", 1, 1, 1.0)])

    model.crash_in_fold(None)

    counter = TelemetryCounter.objects.get(run=model.run)
    assert MetricBatch.objects.filter(run=model.run).count() == 1
    assert (counter.inbox_points, counter.inbox_batches) == (1, 1)
    assert steps_of_chunks(model.run) == []


def test_two_folders_of_the_same_batches_move_them_once(monkeypatch):
    attempt = new_attempt()
    send(attempt, 1, (1, 1, 1.0))
    prepare = fold._prepare

    def prepare_and_be_overtaken(run_id):
        step = prepare(run_id)
        monkeypatch.setattr(fold, "_prepare", prepare)
        fold_run(run_id=run_id)
        return step

    monkeypatch.setattr(fold, "_prepare", prepare_and_be_overtaken)
    moved = fold_run(run_id=attempt.run_id)

    assert moved == 0
    assert steps_of_chunks(attempt.run) == [[1]]
    assert TelemetryCounter.objects.get(run=attempt.run).inbox_points == 0


def test_large_inbox_is_due_and_a_small_one_is_not(monkeypatch):
    monkeypatch.setattr(fold, "FOLD_BATCHES", 2)
    monkeypatch.setattr(fold, "FOLD_POINTS", 5)
    small, many, long = new_attempt(), new_attempt(), new_attempt()
    send(small, 1, (1, 1, 1.0))
    send(many, 1, (1, 1, 1.0))
    send(many, 2, (2, 1, 1.0))
    send(long, 1, *[(step, 1, 1.0) for step in range(5)])

    assert runs_to_fold(10) == [many.run_id, long.run_id]
    assert runs_to_fold(1) == [many.run_id]


def test_any_inbox_of_a_run_that_has_ended_is_due_until_it_is_folded():
    attempt = new_attempt()
    send(attempt, 1, (1, 1, 1.0))
    Run.objects.filter(pk=attempt.run_id).update(
        status=Status.COMPLETED, reason=Reason.FINISHED, completed_at=timezone.now()
    )
    due = runs_to_fold(10)

    fold_run(run_id=attempt.run_id, everything=True)

    assert due == [attempt.run_id]
    assert runs_to_fold(10) == []


def test_fullest_runs_are_folded_until_nothing_is_due(monkeypatch):
    monkeypatch.setattr(fold, "FOLD_BATCHES", 2)
    attempts = [new_attempt() for _ in range(3)]
    with small_chunks():
        for attempt in attempts:
            send_one_by_one(attempt, 8)
        moved = fold_fullest(60)

    assert (moved, MetricBatch.objects.count()) == (24, 0)


@pytest.mark.parametrize("seconds", [0, -1])
def test_folding_of_the_fullest_makes_at_least_one_step_and_ends_in_time(monkeypatch, seconds):
    monkeypatch.setattr(fold, "FOLD_BATCHES", 2)
    small, large = new_attempt(), new_attempt()
    with small_chunks():
        send_one_by_one(small, 2)
        send_one_by_one(large, 5)
        moved = fold_fullest(seconds)

    assert moved == 3
    assert TelemetryCounter.objects.get(run=large.run).inbox_batches == 2


def test_nothing_to_fold_takes_one_query(django_assert_num_queries):
    with django_assert_num_queries(1):
        assert fold_fullest(1) == 0


def test_earliest_time_of_all_folds_is_kept():
    attempt = new_attempt()
    send(attempt, 1, (1, 500, 1.0))
    fold_run(run_id=attempt.run_id)
    send(attempt, 2, (2, 300, 1.0), (3, 900, 1.0))
    fold_run(run_id=attempt.run_id)

    assert TelemetryCounter.objects.get(run=attempt.run).metric_first_time == 300


def test_crash_of_a_caller_is_passed_on(monkeypatch):
    attempt = new_attempt()
    send(attempt, 1, (1, 1, 1.0))
    monkeypatch.setattr(fold, "merge_batches", raise_crash)

    with pytest.raises(Crash):
        fold_run(run_id=attempt.run_id)


def raise_crash(*_args, **_kwargs):
    raise Crash
