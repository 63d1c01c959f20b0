"""Storing log lines: once, in order, numbered without gaps, only from the living attempt."""

import pytest

from runs.models import Attempt, LogChunk, TelemetryCounter
from runs.telemetry.log_blocks import LogLine
from runs.telemetry.log_chunks import MAX_LINE_TIME_US
from runs.telemetry.log_pages import follow
from runs.telemetry.log_ranges import count_lines
from tests.runs.telemetry.builders import append_lines, end, line, new_attempt
from tests.runs.telemetry.model import LogModel, small_chunks
from trainhub.errors import Fenced, SequenceGap

pytestmark = pytest.mark.django_db


def texts(attempt):
    return [one.message for one in follow(run_id=attempt.run_id, after=0, limit=10_000)]


def test_line_keeps_its_time_level_stream_attempt_and_text():
    attempt = new_attempt(number=3)

    append_lines(attempt=attempt, sequence=1, lines=[(1_700_000_000_000_001, 3, 1, "out of memory\t✗")])

    expected = LogLine(0, 1_700_000_000_000_001, "ERROR", "stderr", 3, "out of memory\t✗")
    assert follow(run_id=attempt.run_id, after=0, limit=10) == [expected]


def test_batch_sent_twice_is_stored_once():
    attempt = new_attempt()
    append_lines(attempt=attempt, sequence=1, lines=[line(text="first")])

    answer = append_lines(attempt=attempt, sequence=1, lines=[line(text="first")])

    assert answer == 1
    assert texts(attempt) == ["first"]


def test_old_batch_answers_the_highest_sequence_stored():
    attempt = new_attempt()
    append_lines(attempt=attempt, sequence=1, lines=[line()])
    append_lines(attempt=attempt, sequence=2, lines=[line()])

    assert append_lines(attempt=attempt, sequence=1, lines=[line()]) == 2


def test_batch_after_a_gap_is_refused_and_names_what_is_wanted():
    attempt = new_attempt()
    append_lines(attempt=attempt, sequence=1, lines=[line(text="first")])

    with pytest.raises(SequenceGap) as caught:
        append_lines(attempt=attempt, sequence=3, lines=[line(text="third")])

    assert caught.value.extra == {"expected": 2}
    assert texts(attempt) == ["first"]


@pytest.mark.parametrize("sequence", [1, 2, 7])
def test_attempt_that_has_ended_is_fenced_whatever_it_sends(sequence):
    attempt = new_attempt()
    append_lines(attempt=attempt, sequence=1, lines=[line(text="first")])
    end(attempt)

    with pytest.raises(Fenced):
        append_lines(attempt=attempt, sequence=sequence, lines=[line(text="late")])

    assert texts(attempt) == ["first"]


def test_empty_batch_counts_as_stored():
    attempt = new_attempt()

    answer = append_lines(attempt=attempt, sequence=1, lines=[])

    assert answer == 1
    assert Attempt.objects.get(pk=attempt.pk).log_sequence == 1
    assert count_lines(attempt.run_id) == 0


def test_lines_of_two_attempts_are_numbered_in_one_row():
    first = new_attempt()
    append_lines(attempt=first, sequence=1, lines=[line(text="one"), line(text="two")])
    second = new_attempt(first.run, number=2)

    append_lines(attempt=second, sequence=1, lines=[line(text="three")])

    followed = follow(run_id=first.run_id, after=1, limit=10)
    assert [(one.number, one.attempt, one.message) for one in followed] == [(1, 1, "two"), (2, 2, "three")]


def test_short_last_chunk_is_filled_up_by_a_batch_that_fits_whole():
    attempt = new_attempt()
    with small_chunks(lines=4, text_bytes=1000):
        append_lines(attempt=attempt, sequence=1, lines=[line()] * 2)
        append_lines(attempt=attempt, sequence=2, lines=[line()] * 2)
        append_lines(attempt=attempt, sequence=3, lines=[line()])

    chunks = LogChunk.objects.filter(run=attempt.run).order_by("first_line")
    assert list(chunks.values_list("first_line", "lines")) == [(0, 4), (4, 1)]


def test_large_batch_begins_a_chunk_of_its_own():
    attempt = new_attempt()
    with small_chunks(lines=4, text_bytes=1000):
        append_lines(attempt=attempt, sequence=1, lines=[line()] * 3)
        append_lines(attempt=attempt, sequence=2, lines=[line()] * 6)

    chunks = LogChunk.objects.filter(run=attempt.run).order_by("first_line")
    assert list(chunks.values_list("first_line", "lines")) == [(0, 3), (3, 4), (7, 2)]


def test_chunk_ends_before_its_text_grows_too_large():
    attempt = new_attempt()
    with small_chunks(lines=100, text_bytes=10):
        append_lines(attempt=attempt, sequence=1, lines=[line(text="äö"), line(text="1234567"), line(text="x" * 30)])

    chunks = LogChunk.objects.filter(run=attempt.run).order_by("first_line")
    assert list(chunks.values_list("lines", "text_bytes")) == [(1, 4), (1, 7), (1, 30)]


def test_times_of_chunks_never_decrease_while_lines_keep_their_own():
    attempt = new_attempt()
    with small_chunks(lines=2, text_bytes=1000):
        append_lines(attempt=attempt, sequence=1, lines=[line(time) for time in (50, 60, 10, 20, 55, 70)])

    chunks = LogChunk.objects.filter(run=attempt.run).order_by("first_line")
    assert list(chunks.values_list("first_time", "last_time", "earliest_time", "latest_time", "is_late")) == [
        (50, 60, 50, 60, False),
        (60, 60, 10, 20, True),
        (60, 70, 55, 70, True),
    ]
    assert [one.time_us for one in follow(run_id=attempt.run_id, after=0, limit=10)] == [50, 60, 10, 20, 55, 70]


def test_lines_of_each_attempt_stream_and_level_are_counted_up_to_the_end_of_a_chunk():
    first = new_attempt()
    with small_chunks(lines=4, text_bytes=1000):
        append_lines(attempt=first, sequence=1, lines=[line(level=level) for level in (1, 1, 4, 1)])
        second = new_attempt(first.run, number=2)
        append_lines(attempt=second, sequence=1, lines=[line(level=1, stream=1), line(level=1)])

    chunks = LogChunk.objects.filter(run=first.run).order_by("first_line")
    assert list(chunks.values_list("tally", flat=True)) == [
        [[1, 0, 1, 3], [1, 0, 4, 1]],
        [[1, 0, 1, 3], [1, 0, 4, 1], [2, 0, 1, 1], [2, 1, 1, 1]],
    ]


@pytest.mark.parametrize(("sent", "kept"), [(-1, 0), (2**70, MAX_LINE_TIME_US), (-(2**70), 0)])
def test_time_that_no_date_can_show_is_moved_into_range(sent, kept):
    attempt = new_attempt()

    append_lines(attempt=attempt, sequence=1, lines=[line(sent)])

    assert follow(run_id=attempt.run_id, after=0, limit=1)[0].time_us == kept


@pytest.mark.parametrize(
    ("sent", "kept"), [("a\ud800b", "a?b"), ("nul\0byte", "nul\0byte"), ("line\nend", "line\nend")]
)
def test_text_that_is_not_unicode_is_marked_and_all_other_is_kept(sent, kept):
    attempt = new_attempt()

    append_lines(attempt=attempt, sequence=1, lines=[line(text=sent)])

    assert texts(attempt) == [kept]


@pytest.mark.parametrize("wrong", [(0, 5, 0, ""), (0, -1, 0, ""), (0, 0, 3, ""), (0, 0, -1, "")])
def test_unknown_level_or_stream_is_refused_before_anything_is_stored(wrong):
    attempt = new_attempt()

    with pytest.raises(ValueError, match="not in the protocol"):
        append_lines(attempt=attempt, sequence=1, lines=[line(), wrong])

    assert Attempt.objects.get(pk=attempt.pk).log_sequence == 0
    assert not TelemetryCounter.objects.filter(run=attempt.run).exists()


def test_crash_after_the_last_chunk_was_filled_leaves_nothing_of_the_batch():
    with small_chunks():
        model = LogModel()
        model.append([line(text="kept")])

        model.crash([line(text="lost")] * 9)
        model.append([line(text="next")])

    assert texts(model.attempt) == ["kept", "next"]
