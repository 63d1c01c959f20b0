"""Series of metrics against a plain list: whole, thinned, in windows, over restarts, before and after folding."""

import math

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runs.models import Attempt, MetricSection, Run, TelemetryCounter
from runs.telemetry import series as series_module
from runs.telemetry.append import append_metrics
from runs.telemetry.fold import fold_run
from runs.telemetry.lineage import read_stories
from runs.telemetry.series import SeriesRequest, read_metrics, read_series
from tests.runs.telemetry.builders import columns, new_attempt, new_checkpoint
from tests.runs.telemetry.model import MetricModel, points_of, small_chunks

pytestmark = pytest.mark.django_db

KEYS = ("loss", "accuracy")
values = st.sampled_from([0.0, -0.0, 1.5, -2.0, 1e308, math.nan, math.inf, -math.inf]) | st.integers(-50, 50).map(float)
points = st.tuples(st.sampled_from(KEYS), st.integers(0, 25), st.integers(0, 25), values)
batches = st.lists(points, max_size=15)
actions = st.sampled_from(
    [
        *["append"] * 4,
        "fold",
        "fold_everything",
        "repeat",
        "crash",
        "crash_in_fold",
        "crash_in_section",
        "restart",
    ]
)
histories = st.lists(st.tuples(actions, batches), max_size=12)
bounds = st.none() | st.integers(-1, 26)
windows = st.fixed_dictionaries(dict.fromkeys(["first_step", "last_step", "first_time", "last_time"], bounds))
some = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def filled(history):
    model = MetricModel()
    for name, batch in history:
        getattr(model, name)(batch)
    return model


def expected_points(model, key, window, *, hidden):
    open_ended = {
        name: math.inf * (1 if name.startswith("last") else -1) if value is None else value
        for name, value in window.items()
    }
    return model.visible(
        key,
        hidden=hidden,
        steps=(open_ended["first_step"], open_ended["last_step"]),
        times=(open_ended["first_time"], open_ended["last_time"]),
    )


def extremes(found):
    finite = [value for value in found if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else None


def is_subsequence(part, whole):
    rest = iter(whole)
    return all(point in rest for point in part)


@some
@given(histories, windows, st.booleans())
def test_series_is_what_the_list_gives(db, history, window, hidden):
    with small_chunks():
        model = filled(history)

        found = read_series(run_id=model.run.pk, keys=KEYS, hidden=hidden, **window)

    expected = {key: [point.text for point in expected_points(model, key, window, hidden=hidden)] for key in KEYS}
    assert {key: points_of(key, series) for key, series in found.items()} == expected
    assert [(series.total, series.thinned) for series in found.values()] == [
        (len(wanted), False) for wanted in expected.values()
    ]


@some
@given(histories, windows, st.booleans(), st.integers(5, 15), st.sampled_from([0, 1, 20]))
def test_thinned_series_holds_real_points_with_both_ends_and_extremes(db, history, window, hidden, limit, unpacked):
    with small_chunks(unpacked_per_point=unpacked):
        model = filled(history)

        found = read_series(run_id=model.run.pk, keys=["loss"], limit=limit, hidden=hidden, **window)["loss"]

    expected = expected_points(model, "loss", window, hidden=hidden)
    whole, part = [point.text for point in expected], points_of("loss", found)
    assert found.total == len(whole)
    assert found.thinned == (len(part) < len(whole))
    assert len(part) <= limit
    assert is_subsequence(part, whole)
    assert (part[:1], part[-1:]) == (whole[:1], whole[-1:])
    assert extremes(found.value) == extremes([point.value for point in expected])


def read_of(run, *, hidden=False, ancestors=None, **wanted):
    stories = read_stories(Run.objects.filter(pk=run.pk), hidden=hidden, ancestors=ancestors)
    (metrics,) = read_metrics(stories, SeriesRequest(**{"keys": KEYS, **wanted}))
    return metrics


def keys_of(run):
    return read_of(run).keys


@some
@given(histories)
def test_keys_and_newest_values_are_what_the_list_gives(db, history):
    with small_chunks():
        model = filled(history)
        names = keys_of(model.run)
        fold_run(run_id=model.run.pk, everything=True)

    newest = {row.key: (row.attempt_number, row.step, row.time) for row in model.run.newest_metrics.all()}
    expected = sorted({point.key for point in model.points})
    assert names == expected
    assert newest == {
        key: (point.attempt, point.step, point.time) for key, point in ((key, model.newest(key)) for key in expected)
    }
    assert keys_of(model.run) == expected


def send(attempt, *sent, key="loss", sequence=1):
    append_metrics(attempt=attempt, sequence=sequence, columns={key: columns(*sent)})


def steps_shown(attempt, key="loss", **wanted):
    found = read_series(run_id=attempt.run_id, keys=[key], **wanted)[key]
    return list(zip(found.attempt, found.step, strict=True))


@pytest.fixture
def restarted():
    """Attempt 1 reached step 4, attempt 2 went on from a checkpoint at step 2."""
    first = new_attempt()
    send(first, *[(step, step, 1.0) for step in range(5)])
    second = new_attempt(first.run, number=2, resume_from=new_checkpoint(first.run, 2))
    send(second, (3, 30, 1.0))
    return second


def test_steps_after_the_restored_checkpoint_are_hidden_not_lost(restarted):
    assert steps_shown(restarted) == [(1, 0), (1, 1), (1, 2), (2, 3)]
    assert steps_shown(restarted, hidden=True) == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 3), (1, 4)]


def test_attempt_without_a_checkpoint_hides_all_before_it(restarted):
    third = new_attempt(restarted.run, number=3)
    send(third, (0, 50, 1.0))

    assert steps_shown(third) == [(3, 0)]


def test_attempt_that_never_began_hides_nothing(restarted):
    third = new_attempt(restarted.run, number=3, started_at=None)

    assert steps_shown(third) == [(1, 0), (1, 1), (1, 2), (2, 3)]


def test_checkpoint_of_unknown_step_hides_nothing():
    first = new_attempt()
    send(first, (9, 9, 1.0))

    second = new_attempt(first.run, number=2, resume_from=new_checkpoint(first.run, None))

    assert steps_shown(second) == [(1, 9)]


def test_measurements_of_the_node_are_never_hidden_and_stay_in_order_of_time():
    first = new_attempt()
    send(first, (1, 100, 0.5), (2, 200, 0.5), key="system/cpu")
    second = new_attempt(first.run, number=2)

    send(second, (1, 300, 0.9), key="system/cpu")

    assert steps_shown(second, "system/cpu") == [(1, 1), (1, 2), (2, 1)]


def test_key_that_is_not_there_has_an_empty_series():
    found = read_series(run_id=new_attempt().run_id, keys=["nothing"])

    assert (found["nothing"].step, found["nothing"].total, found["nothing"].thinned) == ([], 0, False)


def test_without_keys_all_metrics_are_given_sorted():
    attempt = new_attempt()
    send(attempt, (1, 1, 1.0), key="b")
    fold_run(run_id=attempt.run_id)
    send(attempt, (1, 1, 1.0), key="a", sequence=2)

    assert list(read_of(attempt.run, keys=None).series) == ["a", "b"]
    assert list(read_of(attempt.run, keys=None, most_keys=1).series) == ["a"]


def test_limit_that_cannot_hold_ends_and_extremes_is_refused():
    with pytest.raises(ValueError, match="limit is at least 5"):
        read_series(run_id=1, keys=["loss"], limit=4)


@pytest.mark.parametrize("window", [{"first_step": -(10**30)}, {"last_step": 10**30}, {"first_time": -(10**30)}])
def test_bounds_that_no_integer_column_holds_are_taken(window):
    attempt = new_attempt()
    send(attempt, (1, 1, 1.0))

    assert steps_shown(attempt, **window) == [(1, 1)]


def test_gaps_stay_visible_in_a_thinned_series():
    attempt = new_attempt()
    with small_chunks(points=20, unpacked_per_point=1):
        send(attempt, *[(step, step, math.nan if step == 300 else float(step)) for step in range(600)])
        fold_run(run_id=attempt.run_id)

        found = read_series(run_id=attempt.run_id, keys=["loss"], limit=100)["loss"]

    assert [step for step, value in zip(found.step, found.value, strict=True) if math.isnan(value)] == [300]


@pytest.fixture
def before_chunks_are_read(monkeypatch):
    """Lets something happen between reading the inbox and reading the chunks: `always`, or `once`."""
    original = series_module.fill_shelves

    def use(happens, *, always=False):
        def fill(*args):
            if not always:
                monkeypatch.setattr(series_module, "fill_shelves", original)
            happens()
            original(*args)

        monkeypatch.setattr(series_module, "fill_shelves", fill)

    return use


def test_fold_between_two_reads_is_noticed_and_nothing_is_missing(before_chunks_are_read):
    attempt = new_attempt()
    send(attempt, (1, 1, 1.0), (2, 2, 2.0))

    before_chunks_are_read(lambda: fold_run(run_id=attempt.run_id))

    assert steps_shown(attempt) == [(1, 1), (1, 2)]


def test_fold_that_makes_a_section_between_two_reads_is_noticed(before_chunks_are_read):
    attempt = new_attempt()
    with small_chunks(points=5, chunks=2):
        send(attempt, *[(step, step, 1.0) for step in range(9)])
        fold_run(run_id=attempt.run_id)
        send(attempt, (9, 9, 1.0), sequence=2)

        before_chunks_are_read(lambda: fold_run(run_id=attempt.run_id))

        assert [step for _, step in steps_shown(attempt)] == list(range(10))
    assert MetricSection.objects.count() == 1


def test_reader_that_is_overtaken_again_and_again_makes_folding_wait(before_chunks_are_read):
    attempt = new_attempt()
    send(attempt, (1, 1, 1.0))
    counter = TelemetryCounter.objects.filter(run=attempt.run)

    before_chunks_are_read(lambda: counter.update(folds=F("folds") + 1), always=True)

    assert steps_shown(attempt) == [(1, 1)]


@pytest.mark.parametrize("folds", [1, 6])
@pytest.mark.parametrize("unpacked", [0, 1, 20])
def test_queries_of_a_chart_do_not_grow_with_the_run(folds, unpacked):
    attempt = new_attempt()
    with small_chunks(points=50, unpacked_per_point=unpacked, in_list=500):
        send_and_fold(attempt, folds)

        with CaptureQueriesContext(connection) as counted:
            read_series(run_id=attempt.run_id, keys=KEYS, limit=30, first_step=10)

    assert len(counted) <= 7


def send_and_fold(attempt, count):
    for sequence in range(1, count + 1):
        sent = [(step, step, float(step)) for step in range(sequence * 100, sequence * 100 + 100)]
        append_metrics(attempt=attempt, sequence=sequence, columns={key: columns(*sent) for key in KEYS})
        fold_run(run_id=attempt.run_id)


def test_attempt_counts_as_begun_once_it_has_sent_points(restarted):
    Attempt.objects.filter(pk=restarted.pk).update(started_at=None, claimed_at=timezone.now())

    assert steps_shown(restarted) == [(1, 0), (1, 1), (1, 2), (2, 3)]
