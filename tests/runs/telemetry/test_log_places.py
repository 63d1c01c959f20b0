"""Where lines stand in a log, and the match before a line."""

import pytest

from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_places import count_kinds, line_at_time, match_place, place_of
from runs.telemetry.log_search import ExactWords, Regex, Words
from runs.telemetry.log_search_back import search_back
from tests.runs.telemetry.builders import append_lines, line, new_attempt
from tests.runs.telemetry.model import small_chunks

ALL, ERRORS = LineFilter.of(), LineFilter.of(levels=["ERROR"])
FAR = 2**53


@pytest.fixture
def run_id(db):
    """A log of 120 lines in small chunks; every tenth is an error."""
    attempt = new_attempt()
    with small_chunks(lines=7, text_bytes=10_000):
        lines = [line(1000 * n, f"line {n}.", level=3 if n % 10 == 9 else 1) for n in range(120)]
        append_lines(attempt=attempt, sequence=1, lines=lines)
    return attempt.run_id


@pytest.mark.parametrize("number", [0, 1, 6, 7, 9, 10, 13, 14, 19, 20, 118, 119, 120, 500])
def test_place_among_the_lines_of_a_kind_is_how_many_come_before(run_id, number):
    assert place_of(run_id=run_id, line=number, wanted=ERRORS) == sum(n % 10 == 9 for n in range(min(number, 120)))


def test_place_among_all_lines_is_the_number(run_id):
    assert place_of(run_id=run_id, line=77, wanted=ALL) == 77


@pytest.mark.parametrize(
    ("time_us", "wanted", "number"),
    [(0, ALL, 0), (50_000, ALL, 50), (50_001, ALL, 51), (50_001, ERRORS, 59), (119_001, ALL, None), (FAR, ALL, None)],
)
def test_the_line_at_a_time_is_the_first_at_or_after_it(run_id, time_us, wanted, number):
    assert line_at_time(run_id=run_id, time_us=time_us, wanted=wanted) == number


def test_kinds_are_counted(run_id):
    assert list(count_kinds(run_id)) == [[1, 0, 1, 108], [1, 0, 3, 12]]
    assert list(count_kinds(run_id + 1)) == []


def test_matches_of_a_short_log_are_counted_and_numbered(run_id):
    place = match_place(run_id=run_id, wanted=ALL, matcher=Words.of("5."), line=25)

    assert place == (12, 3)
    assert match_place(run_id=run_id, wanted=ALL, matcher=Words.of("5."), line=26) == (12, None)


def test_matches_of_a_long_log_are_not_counted(run_id, monkeypatch):
    monkeypatch.setattr("runs.telemetry.log_places.MAX_COUNTED_LINES", 119)

    assert match_place(run_id=run_id, wanted=ALL, matcher=Words.of("5."), line=25) is None


@pytest.mark.parametrize(
    ("before", "wanted", "matcher", "number"),
    [
        (FAR, ALL, Words.of("LINE 11."), 11),
        (11, ALL, Words.of("line 11."), None), (12, ALL, Words.of("line 11."), 11),
        (100, ERRORS, Words.of("line"), 99), (99, ERRORS, Words.of("line"), 89), (9, ERRORS, None, None),
        (100, ALL, Regex("7[0-9]", ignore_case=False), 79), (0, ALL, None, None),
    ],
)  # fmt: skip
def test_the_match_before_a_line_is_found(run_id, monkeypatch, before, wanted, matcher, number):
    monkeypatch.setattr("runs.telemetry.log_search_back._FIRST_LINES", 3)

    found = search_back(run_id=run_id, wanted=wanted, matcher=matcher, before=before, seconds=60)

    assert [item.number for item in found.items] == ([] if number is None else [number])
    assert found.next is None


def test_a_search_backwards_goes_on_where_it_stopped(run_id, monkeypatch):
    monkeypatch.setattr("runs.telemetry.log_search_back._FIRST_LINES", 10)
    asked = {"run_id": run_id, "wanted": ALL, "matcher": Words.of("line 3.")}

    first = search_back(**asked, before=20, seconds=-1)
    second = search_back(**asked, before=first.next, seconds=-1)

    assert (first.items, first.next, first.searched, first.total) == ([], 10, 10, 20)
    assert [item.number for item in second.items] == [3]


@pytest.mark.parametrize(
    ("finder", "text", "places"),
    [
        (Words.of("Loss"), "a LOSS of loss", [(2, 6), (10, 14)]),
        (Words.of("a.b"), "aXb a.b", [(4, 7)]),
        (ExactWords.of("Loss"), "loss Loss", [(5, 9)]),
        (Regex("l[o]ss|$", ignore_case=False), "xloss", [(1, 5)]),
    ],
)
def test_matches_know_their_places(finder, text, places):
    assert finder.places(text) == places
    assert finder.matches(text)


def test_exact_words_want_the_same_case():
    assert not ExactWords.of("Loss").matches("loss LOSS")
