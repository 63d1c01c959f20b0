"""Pages, ranges, filters, following and downloads of a log, against a plain list."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runs.telemetry.append import append_lines
from runs.telemetry.log_pages import count_lines, follow, iterate_lines, read_page
from tests.runs.telemetry.builders import line, new_attempt
from tests.runs.telemetry.model import LogModel, small_chunks

pytestmark = pytest.mark.django_db

messages = st.sampled_from(["", "loss", "Loss 0.5", "ünïcode", "x" * 50, "out of memory"])
lines = st.tuples(st.integers(0, 30), st.integers(0, 4), st.integers(0, 2), messages)
batches = st.lists(lines, max_size=12)
steps = st.lists(
    st.tuples(st.sampled_from(["append", "append", "append", "repeat", "skip", "crash", "restart"]), batches),
    max_size=8,
)
filters = st.fixed_dictionaries(
    {
        "start_us": st.none() | st.integers(-5, 40),
        "end_us": st.none() | st.integers(-5, 40),
        "levels": st.none() | st.sets(st.sampled_from(["DEBUG", "INFO", "ERROR"])),
        "stream": st.none() | st.sampled_from(["stdout", "stderr"]),
        "attempt": st.none() | st.integers(1, 3),
        "contains": st.none() | st.sampled_from(["", "LOSS", "o", "Ünï", "nowhere"]),
    }
)
no_filter = dict.fromkeys(["start_us", "end_us", "levels", "stream", "attempt", "contains"])
time_ranges = st.tuples(st.none() | st.integers(-1, 32), st.none() | st.integers(-1, 32)).map(
    lambda ends: {**no_filter, "start_us": ends[0], "end_us": ends[1]}
)
level_filters = st.sets(st.sampled_from(["DEBUG", "INFO", "ERROR"])).map(lambda names: {**no_filter, "levels": names})
some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def filled(history):
    """A log after a history of steps, in store and model."""
    model = LogModel()
    for name, batch in history:
        getattr(model, name)(batch)
    return model


def in_time_order(history):
    """The same history with a clock that never steps back."""
    times = iter(sorted(one[0] for _, batch in history for one in batch))
    return [(name, [(next(times), *one[1:]) for one in batch]) for name, batch in history]


@some
@given(steps, st.one_of(filters, time_ranges, level_filters), st.integers(1, 4), st.integers(1, 20))
def test_page_is_what_the_list_gives_whatever_the_clocks_do(db, history, wanted, page, page_size):
    with small_chunks():
        model = filled(history)

        found = read_page(run_id=model.run.pk, page=page, page_size=page_size, **wanted)

    expected = model.matching(**wanted)
    assert found.total == len(expected)
    assert found.items == expected[(page - 1) * page_size : page * page_size]


@some
@given(steps.map(in_time_order), time_ranges, st.integers(1, 20))
def test_time_range_is_what_the_list_gives_when_clocks_run_forward(db, history, wanted, page_size):
    with small_chunks():
        model = filled(history)

        found = read_page(run_id=model.run.pk, page=1, page_size=page_size, **wanted)

    expected = model.matching(**wanted)
    assert (found.total, found.items) == (len(expected), expected[:page_size])


@some
@given(steps, filters)
def test_download_is_what_the_list_gives(db, history, wanted):
    with small_chunks():
        model = filled(history)

        downloaded = list(iterate_lines(run_id=model.run.pk, **wanted))

    assert downloaded == model.matching(**wanted)


@some
@given(steps, st.integers(-3, 60), st.integers(0, 15))
def test_following_gives_the_lines_from_the_cursor_on(db, history, after, limit):
    with small_chunks():
        model = filled(history)

        followed = follow(run_id=model.run.pk, after=after, limit=limit)

    assert followed == model.lines[max(after, 0) :][:limit]
    assert count_lines(model.run.pk) == len(model.lines)


def test_one_leap_of_the_clock_does_not_hide_the_lines_after_it(db):
    attempt = new_attempt()
    far = 250_000_000_000_000_000
    times = [10, far, *range(20, 40)]
    with small_chunks(lines=3):
        append_lines(attempt=attempt, sequence=1, lines=[line(time) for time in times])

        found = read_page(run_id=attempt.run_id, page=1, page_size=50, start_us=30, end_us=35)

    assert [one.time_us for one in found.items] == [30, 31, 32, 33, 34]
    assert found.total == 5


def test_page_of_an_unknown_run_is_empty(db):
    found = read_page(run_id=10**12, page=1, page_size=10)

    assert (found.total, found.items) == (0, [])


@pytest.mark.parametrize("page", [10**6, 10**30])
def test_page_far_behind_the_end_is_empty_but_knows_the_total(db, page):
    attempt = new_attempt()
    append_lines(attempt=attempt, sequence=1, lines=[line()])

    found = read_page(run_id=attempt.run_id, page=page, page_size=10)

    assert (found.total, found.items) == (1, [])


@pytest.mark.parametrize(("start", "end", "total"), [(-(10**40), 10**40, 1), (10**40, None, 0), (None, -(10**40), 0)])
def test_times_that_no_integer_column_holds_are_taken(db, start, end, total):
    attempt = new_attempt()
    append_lines(attempt=attempt, sequence=1, lines=[line(5)])

    found = read_page(run_id=attempt.run_id, page=1, page_size=10, start_us=start, end_us=end)

    assert found.total == total


@pytest.mark.parametrize(
    "wrong",
    [{"page": 0}, {"page_size": 0}, {"levels": ["LOUD"]}, {"stream": "stdin"}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_makes_no_sense_is_a_value_error(db, wrong):
    with pytest.raises(ValueError, match=r"start at 1|is none of"):
        read_page(**{"run_id": 1, "page": 1, "page_size": 10, **wrong})


@pytest.mark.parametrize(
    ("wanted", "queries"),
    [
        ({}, 3),
        ({"start_us": 200, "end_us": 300}, 6),
        ({"start_us": 200}, 5),
        ({"levels": ["INFO"]}, 4),
    ],
    ids=str,
)
@pytest.mark.parametrize("batches_sent", [3, 12])
def test_queries_of_a_page_do_not_grow_with_the_log(db, wanted, queries, batches_sent):
    attempt = new_attempt()
    with small_chunks(lines=50, text_bytes=10_000):
        send_numbered_batches(attempt, batches_sent)

    with CaptureQueriesContext(connection) as counted:
        read_page(run_id=attempt.run_id, page=2, page_size=20, **wanted)

    assert len(counted) <= queries


def send_numbered_batches(attempt, count):
    for batch in range(count):
        lines_sent = [line(100 * batch + place, f"step {place}") for place in range(100)]
        append_lines(attempt=attempt, sequence=batch + 1, lines=lines_sent)
