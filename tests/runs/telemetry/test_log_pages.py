"""Pages, ranges, filters, following and downloads of a log, against a plain list."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runs.telemetry.log_blocks import read_blocks
from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_pages import TooManyLinesError, follow, read_page
from runs.telemetry.log_ranges import count_lines, find_spans
from runs.telemetry.log_search import PatternError, Regex, Words, search_lines
from tests.runs.telemetry.builders import append_lines, line, new_attempt
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
        "streams": st.none() | st.lists(st.sampled_from(["stdout", "stderr"]), min_size=1, max_size=2),
        "attempt": st.none() | st.integers(1, 3),
        "contains": st.none() | st.sampled_from(["", "LOSS", "o", "Ünï", "nowhere"]),
    }
)
no_filter = dict.fromkeys(["start_us", "end_us", "levels", "streams", "attempt", "contains"])
time_ranges = st.tuples(st.none() | st.integers(-1, 32), st.none() | st.integers(-1, 32)).map(
    lambda ends: {**no_filter, "start_us": ends[0], "end_us": ends[1]}
)
level_filters = st.sets(st.sampled_from(["DEBUG", "INFO", "ERROR"])).map(lambda names: {**no_filter, "levels": names})
some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def asked(wanted):
    """The arguments of a reader for what the model is asked."""
    kinds = {name: value for name, value in wanted.items() if name != "contains"}
    return {"wanted": LineFilter.of(**kinds), "matcher": Words.of(wanted["contains"]) if wanted["contains"] else None}


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

        found = read_page(run_id=model.run.pk, page=page, page_size=page_size, **asked(wanted))

    expected = model.matching(**wanted)
    assert found.total == len(expected)
    assert found.items == expected[(page - 1) * page_size : page * page_size]


@some
@given(steps.map(in_time_order), time_ranges, st.integers(1, 20))
def test_time_range_is_what_the_list_gives_when_clocks_run_forward(db, history, wanted, page_size):
    with small_chunks():
        model = filled(history)

        found = read_page(run_id=model.run.pk, page=1, page_size=page_size, **asked(wanted))

    expected = model.matching(**wanted)
    assert (found.total, found.items) == (len(expected), expected[:page_size])


@some
@given(steps, filters)
def test_download_is_what_the_list_gives(db, history, wanted):
    with small_chunks():
        model = filled(history)

        spans = find_spans(model.run.pk, asked(wanted)["wanted"].times)
        downloaded = [line for block in read_blocks(model.run.pk, spans, **asked(wanted)) for line in block.lines]

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

        found = read_page(run_id=attempt.run_id, page=1, page_size=50, wanted=LineFilter.of(start_us=30, end_us=35))

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

    found = read_page(run_id=attempt.run_id, page=1, page_size=10, wanted=LineFilter.of(start_us=start, end_us=end))

    assert found.total == total


@pytest.mark.parametrize("wrong", [{"page": 0}, {"page_size": 0}], ids=str)
def test_page_numbers_below_one_are_a_value_error(db, wrong):
    with pytest.raises(ValueError, match="start at 1"):
        read_page(**{"run_id": 1, "page": 1, "page_size": 10, **wrong})


@pytest.mark.parametrize("wrong", [{"levels": ["LOUD"]}, {"streams": ["stdin"]}], ids=str)
def test_unknown_levels_and_streams_are_a_value_error(wrong):
    with pytest.raises(ValueError, match="is none of"):
        LineFilter.of(**wrong)


@pytest.mark.parametrize(
    ("wanted", "queries"),
    [
        ({}, 3),
        ({"start_us": 200, "end_us": 300}, 6),
        ({"start_us": 200}, 5),
        ({"levels": ["INFO"]}, 6),
        ({"levels": ["ERROR"], "streams": ["stdout"], "attempt": 1}, 6),
    ],
    ids=str,
)
@pytest.mark.parametrize("batches_sent", [3, 12])
def test_queries_of_a_page_do_not_grow_with_the_log(db, wanted, queries, batches_sent):
    attempt = new_attempt()
    with small_chunks(lines=50, text_bytes=10_000):
        send_numbered_batches(attempt, batches_sent)

    with CaptureQueriesContext(connection) as counted:
        read_page(run_id=attempt.run_id, page=2, page_size=20, wanted=LineFilter.of(**wanted))

    assert len(counted) <= queries


def send_numbered_batches(attempt, count):
    for batch in range(count):
        lines_sent = [line(100 * batch + place, f"step {place}") for place in range(100)]
        append_lines(attempt=attempt, sequence=batch + 1, lines=lines_sent)


SEARCHES = st.one_of(
    st.sampled_from(["loss", "LOSS", "o", "Ünï", "nowhere", "0.5"]).map(lambda text: (Words.of(text), text.casefold())),
    st.sampled_from(["x", "of m", '"', "\\"]).map(lambda text: (Words.of(text), text)),
)


@some
@given(steps, filters, SEARCHES, st.integers(1, 3), st.booleans())
def test_search_step_by_step_finds_what_the_list_gives(db, history, wanted, search, limit, in_haste):
    matcher, text = search
    with small_chunks():
        model = filled(history)

        found = list(searched_to_the_end(model.run.pk, wanted, matcher, limit, 0.0 if in_haste else 60.0))

    assert found == [line for line in model.matching(**{**wanted, "contains": None}) if text in line.message.casefold()]


def searched_to_the_end(run_id, wanted, matcher, limit, seconds):
    after = 0
    while after is not None:
        step = search_lines(
            run_id=run_id, wanted=asked(wanted)["wanted"], matcher=matcher, after=after, limit=limit, seconds=seconds
        )
        assert len(step.items) <= limit
        assert step.next is None or step.next > after or step.items
        yield from step.items
        after = step.next


@pytest.mark.parametrize(
    ("pattern", "ignore_case", "found"),
    [
        (r"loss=\d", False, ["loss=1"]),
        (r"LOSS=\d", False, []),
        (r"LOSS=\d", True, ["loss=1"]),
        (r"^é+$", False, ["éé"]),
        (r"(a+)+$", False, ["a" * 40]),
    ],
)
def test_regular_expression_finds_lines(db, pattern, ignore_case, found):
    attempt = new_attempt()
    texts = ["loss=1", "loss=x", "éé", "a" * 40, "a" * 40 + "!"]
    append_lines(attempt=attempt, sequence=1, lines=[line(text=text) for text in texts])

    matcher = Regex(pattern, ignore_case=ignore_case)
    step = search_lines(run_id=attempt.run_id, wanted=LineFilter.of(), matcher=matcher, after=0, limit=9, seconds=60)

    assert [one.message for one in step.items] == found


@pytest.mark.parametrize("pattern", ["(", r"(a)\1", "(?=a)", "a{1000}{1000}", "(?P<x>a){999}{9}"])
def test_pattern_that_re2_does_not_take_is_refused(pattern):
    with pytest.raises(PatternError):
        Regex(pattern, ignore_case=False)


def test_search_that_runs_out_of_time_says_how_far_it_came(db):
    attempt = new_attempt()
    with small_chunks(lines=2, text_bytes=1000):
        append_lines(attempt=attempt, sequence=1, lines=[line(text=f"line {number}") for number in range(6)])

        step = search_lines(
            run_id=attempt.run_id, wanted=LineFilter.of(), matcher=Words.of("line 5"), after=0, limit=9, seconds=0
        )

    assert (step.items, step.next, step.searched, step.total) == ([], 2, 2, 6)


def test_page_with_words_is_refused_where_too_many_lines_would_be_looked_at(db, monkeypatch):
    attempt = new_attempt()
    append_lines(attempt=attempt, sequence=1, lines=[line(level=1), line(level=3), line(level=3)])
    monkeypatch.setattr("runs.telemetry.log_pages.MAX_SCANNED_LINES", 2)
    page = {"run_id": attempt.run_id, "page": 1, "page_size": 9, "matcher": Words.of("step")}

    with pytest.raises(TooManyLinesError):
        read_page(**page)

    assert read_page(**page, wanted=LineFilter.of(levels=["ERROR"])).total == 2


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL plans by the size of tables")
def test_late_chunks_are_found_by_their_own_index(db):
    with CaptureQueriesContext(connection) as captured:
        find_spans_of_a_late_log()

    late = next(query["sql"] for query in captured if "is_late" in query["sql"] and query["sql"].startswith("SELECT"))
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {late}")
        assert "log_chunk_late" in cursor.fetchall()[0][3]


def find_spans_of_a_late_log():
    attempt = new_attempt()
    append_lines(attempt=attempt, sequence=1, lines=[line(time) for time in (50, 10, 60)])
    return find_spans(attempt.run_id, LineFilter.of(start_us=20, end_us=70).times)


RARE = {"levels": ["ERROR"]}


@pytest.fixture
def rare(db, monkeypatch):
    """A log of 60 chunks with three errors far apart; looking on gives way to looking up after 5 chunks."""
    monkeypatch.setattr("runs.telemetry.log_pages._IDLE_CHUNKS", 5)
    monkeypatch.setattr("runs.telemetry.log_blocks.IDLE_CHUNKS", 5)
    attempt = new_attempt()
    with small_chunks(lines=2, text_bytes=1000):
        lines_sent = [line(n, f"line {n}", level=3 if n in {1, 60, 119} else 1) for n in range(120)]
        append_lines(attempt=attempt, sequence=1, lines=lines_sent)
    return attempt.run_id


def test_rare_lines_of_a_long_log_are_looked_up_and_not_walked_to(rare):
    with CaptureQueriesContext(connection) as captured:
        found = read_page(run_id=rare, page=1, page_size=10, wanted=LineFilter.of(**RARE))

    assert (found.total, [one.number for one in found.items]) == (3, [1, 60, 119])
    assert len(captured) < 40


@pytest.mark.parametrize(("page", "numbers"), [(1, [1]), (2, [60]), (3, [119]), (4, [])])
def test_pages_of_rare_lines_hold_each_once(rare, page, numbers):
    found = read_page(run_id=rare, page=page, page_size=1, wanted=LineFilter.of(**RARE))

    assert [one.number for one in found.items] == numbers


def test_search_among_rare_lines_stops_on_the_way_when_time_is_over(rare):
    wanted = LineFilter.of(levels=["ERROR"], start_us=2)

    step = search_lines(run_id=rare, wanted=wanted, matcher=Words.of("line"), after=2, limit=9, seconds=0)

    assert (step.items, step.next) == ([], 12)
