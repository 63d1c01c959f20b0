"""The log: its end on the run's page, and by pages."""

import pytest
from django.urls import reverse

from runs.attempts import finish_attempt
from tests.factories import exit_body, new_attempt
from tests.pages.reading import text_of
from tests.runs.telemetry.builders import append_lines
from tests.runs.telemetry.builders import new_attempt as telemetry_attempt

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


def test_log_shows_utc_times_and_the_day_once(browse, place, editor):
    text = text_of(browse().get(place))

    assert ">00:00:05.000</td>" in text
    assert text.count("1970-01-01") == 1
    assert 'Times are <span id="log-zone">UTC</span>' in text


def test_log_is_filtered_by_level(browse, place, editor):
    assert len(shown(browse().get(place, {"level": "ERROR"}))) == 12


def test_log_is_searched(browse, place, editor):
    assert shown(browse().get(place, {"q": "LINE 11."})) == ["line 11."]


def test_counts_of_errors_lead_to_them(browse, place, editor):
    text = text_of(browse().get(place))

    assert "120 lines" in text
    assert 'href="?level=ERROR&amp;level=CRITICAL">12 errors</a>' in text
    assert "no warnings" in text


def test_log_is_filtered_by_streams_and_attempt(browse, attempt, place, editor):
    second = telemetry_attempt(attempt.run, number=2)
    append_lines(attempt=second, sequence=1, lines=[(1, INFO, 1, "to stderr"), (2, INFO, 2, "of the runner")])

    assert shown(browse().get(place, {"stream": ["stderr", "trainhub"]})) == ["to stderr", "of the runner"]
    assert shown(browse().get(place, {"attempt": "2", "stream": "stderr"})) == ["to stderr"]
    assert "Attempt 2</td>" in text_of(browse().get(place, {"attempt": "2"}))


def test_page_links_keep_the_filters(browse, place, editor):
    text = text_of(browse().get(place, {"level": "ERROR", "page_size": "5"}))

    assert 'href="?level=ERROR&amp;page_size=5&amp;page=2"' in text


def test_link_to_a_line_shows_its_page_and_marks_it(browse, place, editor):
    answer = browse().get(place, {"line": "77", "page_size": "20"})

    assert shown(answer)[0] == "line 60."
    assert 'id="line-77" class="INFO target"' in text_of(answer)


def test_link_to_a_line_keeps_the_filters(browse, place, editor):
    answer = browse().get(place, {"line": "77", "page_size": "5", "level": "ERROR"})

    assert shown(answer) == [f"line {number}." for number in (59, 69, 79, 89, 99)]


def test_link_to_a_line_behind_the_end_shows_the_end(browse, place, editor):
    answer = browse().get(place, {"line": "5000", "page_size": "50"})

    assert shown(answer)[-1] == "line 119."
    assert "this is the end of the log" in text_of(answer)


@pytest.mark.parametrize(("time", "line"), [("1970-01-01T00:00:50", 50), ("1970-01-01T01:00:50.5+01:00", 51),
                                            ("1971-01-01T00:00", 2**53)])  # fmt: skip
def test_jump_to_a_time_leads_to_the_first_line_at_or_after_it(browse, place, editor, time, line):
    answer = browse().get(place, {"time": time, "wrap": "off"})

    assert answer.status_code == 302
    assert answer["Location"] == f"{place}?wrap=off&line={line}#line-{line}"


def test_log_of_a_run_that_goes_on_shows_its_end(browse, place, editor):
    assert shown(browse().get(place, {"page_size": "50"})) == [f"line {number}." for number in range(100, 120)]


def test_log_of_a_run_that_has_ended_shows_its_beginning(browse, attempt, place, editor):
    finish_attempt(attempt=attempt, report=exit_body())

    assert shown(browse().get(place, {"page_size": "50"})) == [f"line {number}." for number in range(50)]


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ({}, 5), ({"line": "5"}, 15), ({"line": "5", "find": "next"}, 15), ({"line": "15", "find": "previous"}, 5),
        ({"find": "previous"}, 115),
    ],
)  # fmt: skip
def test_next_and_previous_match_lead_to_their_lines(browse, place, editor, query, line):
    answer = browse().get(place, {"q": "5.", "show": "context", "find": "next", **query})

    assert answer["Location"] == f"{place}?q=5.&show=context&line={line}#line-{line}"


def test_matches_among_all_lines_are_marked_and_counted(browse, place, editor):
    text = text_of(browse().get(place, {"q": "E 5.", "show": "context", "line": "5"}))

    assert "lin<mark>e 5.</mark>" in text
    assert "1 of 1 match" in text
    assert "line 6." in text


def test_the_last_match_is_followed_by_a_way_to_the_first(browse, place, editor):
    text = text_of(browse().get(place, {"q": "5.", "show": "context", "find": "next", "line": "115"}))

    assert "No other match up to the end" in text
    assert "Look from the beginning" in text


@pytest.mark.parametrize(
    ("query", "count"),
    [({"q": "LINE"}, 120), ({"q": "LINE", "case": "on"}, 0), ({"q": "line", "case": "on"}, 120),
     ({"q": "line [57]\\.", "regex": "on"}, 2), ({"q": "LINE 1?1\\.", "regex": "on"}, 2),
     ({"q": "LINE 5", "regex": "on", "case": "on"}, 0)],
)  # fmt: skip
def test_search_knows_expressions_and_case(browse, place, editor, query, count):
    assert len(shown(browse().get(place, {"page_size": "200", **query}))) == count


def test_download_link_keeps_the_filters_that_the_api_knows(browse, place, editor):
    filtered = text_of(browse().get(place, {"level": "ERROR", "q": "line 9"}))
    expression = text_of(browse().get(place, {"q": "9$", "regex": "on"}))

    assert "/logs/download?level=ERROR&amp;contains=line+9" in filtered
    assert "These lines" not in expression


def test_colours_are_shown_and_control_characters_are_signs(browse, attempt, place, editor):
    append_lines(attempt=attempt, sequence=2, lines=[(1, INFO, 0, "\x1b[32mok\x1b[0m \x1b]8;;http://x\x07<b>\x07")])

    assert '<bdi><span class="fg-2">ok</span> &lt;b&gt;␇</bdi>' in text_of(browse().get(place))


def test_progress_bars_are_folded_to_their_last_state(browse, attempt, place, editor):
    states = [(1, INFO, 1, f"train: {n}%|██ | {n}/100") for n in range(90, 100)]
    append_lines(attempt=attempt, sequence=2, lines=[*states, (2, INFO, 1, "a 1%\ra 2%\ra 3%")])

    text = text_of(browse().get(place))

    assert "<summary>+ 9 updates</summary>" in text
    assert "<summary>+ 2 updates</summary>" in text
    assert '<li id="line-120"' in text
    assert "<bdi>a 3%</bdi>" in text


def test_a_folded_line_that_was_asked_for_is_open(browse, attempt, place, editor):
    states = [(1, INFO, 1, f"train: {n}%|██ | {n}/100") for n in range(90, 100)]
    append_lines(attempt=attempt, sequence=2, lines=states)

    text = text_of(browse().get(place, {"line": "122"}))

    assert '<details class="fold" open>' in text
    assert '<li id="line-122" class="target">' in text


def test_a_long_line_is_cut_until_it_is_asked_for(browse, attempt, place, editor):
    append_lines(attempt=attempt, sequence=2, lines=[(1, INFO, 0, "x" * 5000 + "the end")])
    browser = browse()

    assert "… 3,007 more characters" in text_of(browser.get(place))
    assert "xthe end" in text_of(browser.get(place, {"line": "120"}))
    assert "<mark>the end</mark>" in text_of(browser.get(place, {"q": "the end"}))


def test_rows_for_the_script_are_those_of_the_page(browse, attempt, place, editor):
    rows = text_of(browse().get(reverse("run-log-rows", args=[attempt.run.uid]), {"page": "2", "page_size": "50"}))

    assert rows.lstrip().startswith("<table>")
    assert 'data-page="2" data-total="120" data-lines="120"' in rows
    assert rows.strip() in text_of(browse().get(place, {"page": "2", "page_size": "50"}))


def test_lines_do_not_wrap_on_request(browse, place, editor):
    assert 'class="loglines unwrapped"' in text_of(browse().get(place, {"wrap": "off"}))
    assert 'class="loglines wrapped"' in text_of(browse().get(place))


def test_pages_are_compressed_for_those_who_take_it(browse, place, editor):
    answer = browse().get(place, headers={"Accept-Encoding": "gzip"})

    assert answer["Content-Encoding"] == "gzip"
    assert len(answer.content) < 10_000


@pytest.mark.parametrize("query", [{}, {"page": "2"}, {"line": "60"}, {"level": "ERROR", "line": "60"},
                                   {"q": "5.", "show": "context", "line": "5"}, {"q": "5."}])  # fmt: skip
def test_a_page_takes_few_queries(browse, place, editor, query, django_assert_max_num_queries):
    browser = browse()

    with django_assert_max_num_queries(12):
        browser.get(place, {"page_size": "20", **query})


@pytest.mark.parametrize("query", [{"level": "LOUD"}, {"q": "x" * 201}, {"q": "\0"}, {"page": "0"},
                                   {"page": "1e3"}, {"page_size": "501"}, {"q": "(", "regex": "on"},
                                   {"time": "soon"}, {"line": "-1"}, {"show": "all"}, {"attempt": "x"}])  # fmt: skip
def test_log_refuses_what_it_does_not_know(browse, place, editor, query):
    assert browse().get(place, query).status_code == 400


def test_page_behind_the_last_one_says_so(browse, place, editor):
    answer = browse().get(place, {"page": "1000000"})

    assert answer.status_code == 200
    assert "No line fits." in text_of(answer)


def test_words_in_a_very_long_log_are_looked_for_step_by_step(browse, place, editor, monkeypatch):
    monkeypatch.setattr("runs.telemetry.log_pages.MAX_SCANNED_LINES", 100)
    browser = browse()

    first = browser.get(place, {"q": "line", "page_size": "2"})
    second = browser.get(place, {"q": "line", "page_size": "2", "after": "2"})

    assert shown(first) == ["line 0.", "line 1."]
    assert "Looked at 2 of 120 lines" in text_of(first)
    assert 'href="?q=line&amp;page_size=2&amp;after=2"' in text_of(first)
    assert shown(second) == ["line 2.", "line 3."]


def test_the_last_step_says_that_it_was_the_last(browse, place, editor, monkeypatch):
    monkeypatch.setattr("runs.telemetry.log_pages.MAX_SCANNED_LINES", 100)

    answer = browse().get(place, {"q": "line 119."})

    assert shown(answer) == ["line 119."]
    assert "That was all." in text_of(answer)
