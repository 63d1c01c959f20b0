"""The log: its end on the run's page, and by pages."""

import pytest
from django.urls import reverse

from tests.factories import new_attempt
from tests.pages.reading import text_of
from tests.runs.telemetry.builders import append_lines

SECOND_US = 1_000_000
INFO, ERROR = 1, 3


@pytest.fixture
def attempt(project):
    """An attempt with 120 lines; every tenth is an error."""
    attempt = new_attempt(project=project)
    lines = [(number * SECOND_US, ERROR if number % 10 == 9 else INFO, 0, f"line {number}.") for number in range(120)]
    append_lines(attempt=attempt, sequence=1, lines=lines)
    return attempt


@pytest.fixture
def place(attempt):
    return reverse("run-log", args=[attempt.run.uid])


def shown(answer):
    return [line.message for line in answer.context["lines"]]


def test_run_page_shows_the_last_lines(browse, attempt, editor):
    answer = browse().get(reverse("run", args=[attempt.run.uid]))

    assert shown(answer) == [f"line {number}." for number in range(70, 120)]
    assert "The last 50 of 120 lines" in text_of(answer)


def test_poll_gets_the_last_lines(browse, attempt, editor):
    answer = browse().get(reverse("run-log-tail", args=[attempt.run.uid]))

    assert shown(answer)[-1] == "line 119."
    assert text_of(answer).lstrip().startswith('<div id="log-lines" hx-get')


def test_log_has_pages(browse, place, editor):
    answer = browse().get(place, {"page": "3", "page_size": "50"})

    assert shown(answer) == [f"line {number}." for number in range(100, 120)]
    assert "120 in all, page 3 of 3" in text_of(answer)


def test_log_shows_utc_times(browse, place, editor):
    assert "1970-01-01 00:00:05.000" in text_of(browse().get(place))


def test_log_is_filtered_by_level(browse, place, editor):
    assert len(shown(browse().get(place, {"level": "ERROR"}))) == 12


def test_log_is_searched(browse, place, editor):
    assert shown(browse().get(place, {"contains": "LINE 11."})) == ["line 11."]


def test_page_links_keep_the_filters(browse, place, editor):
    text = text_of(browse().get(place, {"level": "ERROR", "page_size": "5"}))

    assert 'href="?level=ERROR&amp;page_size=5&amp;page=2"' in text


@pytest.mark.parametrize("query", [{"level": "LOUD"}, {"contains": "x" * 201}, {"contains": "\0"}, {"page": "0"},
                                   {"page": "1e3"}, {"page_size": "501"}])  # fmt: skip
def test_log_refuses_what_it_does_not_know(browse, place, editor, query):
    assert browse().get(place, query).status_code == 400


def test_page_behind_the_last_one_says_so(browse, place, editor):
    answer = browse().get(place, {"page": "1000000"})

    assert answer.status_code == 200
    assert "No line fits." in text_of(answer)


def test_words_in_a_very_long_log_are_looked_for_step_by_step(browse, place, editor, monkeypatch):
    monkeypatch.setattr("runs.telemetry.log_pages.MAX_SCANNED_LINES", 100)
    browser = browse()

    first = browser.get(place, {"contains": "line", "page_size": "2"})
    second = browser.get(place, {"contains": "line", "page_size": "2", "after": "2"})

    assert shown(first) == ["line 0.", "line 1."]
    assert "Looked at 2 of 120 lines" in text_of(first)
    assert 'href="?contains=line&amp;page_size=2&amp;after=2"' in text_of(first)
    assert shown(second) == ["line 2.", "line 3."]


def test_the_last_step_says_that_it_was_the_last(browse, place, editor, monkeypatch):
    monkeypatch.setattr("runs.telemetry.log_pages.MAX_SCANNED_LINES", 100)

    answer = browse().get(place, {"contains": "line 119."})

    assert shown(answer) == ["line 119."]
    assert "That was all." in text_of(answer)
