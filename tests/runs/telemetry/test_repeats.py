"""Points that tracking clients send again are stored once; those of runners as often as they come."""

import math

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runs.models import MetricChunk, TelemetryCounter
from runs.telemetry.append import check_columns, store_points
from runs.telemetry.fold import fold_run
from runs.telemetry.history import read_history
from runs.telemetry.newest import refresh_newest
from runs.telemetry.packing import pack_batch
from runs.telemetry.point_packing import unpack_points
from runs.telemetry.removal import mark_removed
from runs.telemetry.series import read_series
from tests.runs.telemetry.builders import columns, new_run
from tests.runs.telemetry.model import small_chunks

pytestmark = pytest.mark.django_db

A, B, C = (1, 10, 0.5), (2, 20, math.nan), (3, 30, math.inf)


def send(run, *points, key="loss", may_repeat=True, attempt=1):
    checked = check_columns({key: columns(*points)})
    store_points(
        run_id=run.pk,
        attempt_number=attempt,
        payload=pack_batch(checked),
        count=len(points),
        may_repeat=may_repeat,
    )


def fold(run):
    fold_run(run_id=run.pk, everything=True)


def stored(run, key="loss"):
    """What the chunks hold, in no order."""
    found = []
    for payload in MetricChunk.objects.filter(run=run, key=key).values_list("payload", flat=True):
        points = unpack_points(payload)
        found += zip(points.steps, points.times, map(repr, points.values), strict=True)
    return sorted(found)


def texts(*points):
    return sorted((step, time, repr(value)) for step, time, value in points)


def counts(run):
    counter = TelemetryCounter.objects.get(run=run)
    return counter.metric_points, counter.newest_points, counter.inbox_points, counter.inbox_batches


def test_repeats_within_a_batch_and_between_batches_are_stored_once():
    run = new_run()
    send(run, A, B, A)
    send(run, B, C)
    fold(run)
    assert stored(run) == texts(A, B, C)
    assert counts(run) == (3, 3, 0, 0)


def test_repeats_of_what_is_in_an_open_chunk_are_dropped_and_leave_it_alone():
    run = new_run()
    send(run, A, B)
    fold(run)
    chunk = MetricChunk.objects.get(run=run)
    send(run, B, A)
    refresh_newest(run_ids=[run.pk])
    assert counts(run) == (4, 4, 2, 1)
    fold(run)
    assert MetricChunk.objects.get(run=run).pk == chunk.pk
    assert counts(run) == (2, 2, 0, 0)


def test_repeats_of_what_is_in_full_chunks_and_sections_are_dropped():
    run = new_run()
    series = [(step, 10 * step, step / 7) for step in range(40)]
    with small_chunks():
        send(run, *series)
        fold(run)
        assert MetricChunk.objects.filter(run=run, is_loose=False).exists()
        send(run, *series[::-3], (40, 400, math.nan))
        fold(run)
    assert stored(run) == texts(*series, (40, 400, math.nan))
    assert counts(run) == (41, 41, 0, 0)


def test_points_that_differ_in_anything_are_all_stored():
    run = new_run()
    some = [(1, 1, 1.0), (2, 1, 1.0), (1, 2, 1.0), (1, 1, 2.0), (1, 1, math.nan), (1, 1, math.inf), (1, 1, -math.inf)]
    send(run, *some)
    send(run, *some, key="other")
    send(run, *some, attempt=2)
    fold(run)
    assert stored(run) == sorted(texts(*some) * 2)
    assert stored(run, "other") == texts(*some)


def test_what_a_runner_says_twice_is_stored_twice():
    run = new_run()
    send(run, A, A, may_repeat=False)
    send(run, A, may_repeat=False)
    fold(run)
    assert stored(run) == texts(A, A, A)
    send(run, A, B)
    send(run, A, may_repeat=False)
    fold(run)
    assert stored(run) == texts(A, A, A, A, B)
    assert counts(run)[0] == 5


def test_charts_show_what_is_repeated_in_the_inbox_once():
    run = new_run()
    send(run, A, C)
    send(run, C, A)
    series = read_series(run_id=run.pk, keys=["loss"])["loss"]
    assert (series.step, series.total) == ([1, 3], 2)


def test_counts_never_fall_below_nothing_when_the_history_goes_meanwhile():
    run = new_run()
    send(run, A, A, A)
    mark_removed(run_id=run.pk, at=timezone.now(), metrics=True)
    fold(run)
    assert counts(run)[0] == 0


POINTS = st.tuples(
    st.integers(0, 12), st.integers(0, 3), st.sampled_from([0.0, 1.5, -1.0, math.nan, math.inf, -math.inf])
)
BATCHES = st.lists(st.one_of(st.just("fold"), st.lists(POINTS, min_size=1, max_size=12)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BATCHES, st.sampled_from([2, 5]))
def test_any_batches_are_stored_as_a_set(db, batches, chunk_points):
    run = new_run()
    expected = set()
    with small_chunks(points=chunk_points):
        for batch in batches:
            if batch == "fold":
                fold_run(run_id=run.pk)
                continue
            send(run, *batch)
            expected.update((step, time, repr(value)) for step, time, value in batch)
            found, has_more = read_history(run_id=run.pk, key="loss")
            assert not has_more
            assert sorted((one.step, one.time, repr(one.value)) for one in found) == sorted(expected)
        fold(run)
    assert stored(run) == sorted(expected)
    if expected:
        assert counts(run) == (len(expected), len(expected), 0, 0)
