"""A run's log over the API: pages, filters, follow, download."""

import orjson
import pytest

from runs.attempts import finish_attempt
from tests.factories import exit_body, new_attempt, run_path
from tests.runs.telemetry.builders import append_lines

pytestmark = pytest.mark.django_db
START_US = 1_704_189_600_000_000  # 2024-01-02T10:00:00Z
INFO, WARNING, ERROR = 1, 2, 3


@pytest.fixture
def attempt(project):
    """A running attempt that wrote five lines, a minute apart."""
    attempt = new_attempt(project=project)
    levels = [INFO, WARNING, INFO, ERROR, INFO]
    lines = [(START_US + n * 60_000_000, level, n % 2, f"Line {n}") for n, level in enumerate(levels)]
    append_lines(attempt=attempt, sequence=1, lines=lines)
    return attempt


@pytest.fixture
def get(as_viewer, attempt):
    return lambda place, **headers: as_viewer.call("GET", f"{run_path(attempt.run)}/logs{place}", **headers)


def messages(answer):
    return [item["message"] for item in answer.json()["items"]]


def test_a_line_has_the_contracts_fields_and_more(get):
    shown = get("?page_size=1").json()

    assert (shown["page"], shown["page_size"], shown["total"]) == (1, 1, 5)
    assert shown["items"] == [
        {
            "line": 0,
            "timestamp": "2024-01-02T10:00:00.000000Z",
            "level": "INFO",
            "stream": "stdout",
            "attempt": 1,
            "message": "Line 0",
        }
    ]


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("?page=2&page_size=2", [2, 3]),
        ("?page=3&page_size=2", [4]),
        ("?page=4&page_size=2", []),
        ("?page=1000000000000&page_size=500", []),
        ("?start_time=2024-01-02T10:03:00Z", [3, 4]),
        ("?end_time=2024-01-02T10:03:00Z", [0, 1, 2]),
        ("?start_time=2024-01-02T10:01:00&end_time=2024-01-02T10:02:00.000001", [1, 2]),
        ("?start_time=2024-01-02T12:03:00%2B02:00", [3, 4]),
        ("?start_time=2024-01-02T12:03:00+02:00", [3, 4]),
        ("?start_time=2024-01-02T12:03:00.5+0200", [4]),
        ("?start_time=2024-01-02%2010:03:00", [3, 4]),
        ("?start_time=2024-01-02%2010:03", [3, 4]),
        ("?start_time=2024-01-02", [0, 1, 2, 3, 4]),
        ("?start_time=0001-01-01T00:00:00%2B14:00", [0, 1, 2, 3, 4]),
        ("?start_time=9999-12-31T23:59:59-14:00", []),
        ("?start_time=2024-01-02T10:01:00Z&end_time=2024-01-02T10:01:00Z", []),
        ("?level=ERROR", [3]),
        ("?level=ERROR&level=WARNING", [1, 3]),
        ("?stream=stderr", [1, 3]),
        ("?attempt=1", [0, 1, 2, 3, 4]),
        ("?attempt=2", []),
        ("?contains=line 3", [3]),
        ("?contains=%25", []),
        ("?level=INFO&page_size=1&page=2", [2]),
    ],
)
def test_lines_are_paged_and_filtered(get, query, lines):
    assert messages(get(query)) == [f"Line {number}" for number in lines]


def test_the_total_counts_what_passes_the_filters(get):
    assert get("?level=INFO&page_size=1").json()["total"] == 3


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        "page=x",
        "page=1.5",
        "page=1000000000001",
        "page_size=0",
        "page_size=501",
        "page_size=",
        "start_time=yesterday",
        "start_time=2024-02-30T00:00:00Z",
        "start_time=",
        "start_time=1704189600",
        "start_time=2024-01-02T10:00:00%00",
        "end_time=2024-01-02T25:00:00Z",
        "level=LOUD",
        "level=",
        "stream=stdin",
        "attempt=0",
        "attempt=x",
        "attempt=99999999999999999999",
        "contains=",
        "after=1",
    ],
)
@pytest.mark.parametrize("place", ["", "/download"])
def test_a_query_that_is_not_understood_is_400(get, place, query):
    answer = get(f"{place}?{query}")

    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()


def test_an_end_before_the_start_is_400(get):
    assert "end_time" in get("?start_time=2024-01-02T10:00:01Z&end_time=2024-01-02T10:00:00Z").json()


def test_a_run_without_a_log_has_an_empty_page(as_viewer, run):
    shown = as_viewer.call("GET", f"{run_path(run)}/logs").json()

    assert shown == {"page": 1, "page_size": 50, "total": 0, "items": [], "removed_at": None}


def test_follow_gives_the_lines_from_the_cursor_on(get):
    first = get("/follow?limit=3").json()
    rest = get(f"/follow?after={first['next']}").json()

    assert [item["line"] for item in first["items"] + rest["items"]] == [0, 1, 2, 3, 4]
    assert (first["ended"], rest["next"], rest["ended"]) == (False, 5, False)


def test_follow_says_when_the_run_has_ended_and_all_was_given(get, attempt):
    finish_attempt(attempt=attempt, report=exit_body())

    assert [get(f"/follow?limit={limit}").json()["ended"] for limit in (4, 5, 6)] == [False, True, True]


def test_follow_beyond_the_end_stays_where_it_is(get):
    assert get("/follow?after=1000").json() == {"items": [], "next": 1000, "ended": False, "removed_at": None}


def test_follow_with_nothing_new_waits_no_longer_than_asked(get, monkeypatch):
    slept = []
    monkeypatch.setattr("trainhub.api.waiting.time.sleep", slept.append)

    get("/follow?after=5", Prefer="wait=0")
    get("/follow?after=4", Prefer="wait=30")

    assert slept == []


def test_follow_returns_as_soon_as_a_line_comes(get, attempt, monkeypatch):
    line = [(START_US, INFO, 0, "news")]
    monkeypatch.setattr(
        "trainhub.api.waiting.time.sleep", lambda _: append_lines(attempt=attempt, sequence=2, lines=line)
    )

    assert messages(get("/follow?after=5", Prefer="wait=30")) == ["news"]


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=9007199254740993", "limit=0", "limit=1001", "page=1"])
def test_a_bad_cursor_is_400(get, query):
    assert get(f"/follow?{query}").status_code == 400


def test_the_log_is_downloaded_as_text(get, attempt):
    answer = get("/download?level=ERROR")

    assert b"".join(answer.streaming_content) == b"2024-01-02T10:03:00.000000Z Line 3\n"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{attempt.run.uid}.log"'
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_log_is_downloaded_as_one_object_a_line(get):
    lines = b"".join(get("/download?as=ndjson").streaming_content).splitlines()

    assert [orjson.loads(line)["message"] for line in lines] == [f"Line {number}" for number in range(5)]


@pytest.mark.parametrize("accept", ["text/plain", "application/x-ndjson", "application/octet-stream", "*/*"])
def test_a_download_is_given_whatever_form_is_accepted(get, accept):
    assert get("/download", Accept=accept).status_code == 200


def test_an_unknown_form_of_download_is_400(get):
    assert get("/download?as=pdf").json()["as"] == ["Must be text or ndjson."]


def test_a_refused_download_is_json_whatever_form_is_accepted(get):
    answer = get("/download?level=LOUD", Accept="text/plain")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


@pytest.mark.parametrize(
    "text", ["<b>bold</b>", "\x1b[31mred\x1b[0m", "模型 🚂", "\u202eright to left", '"quoted" \\ back']
)
def test_what_a_trainer_wrote_comes_back_as_it_was(get, attempt, text):
    append_lines(attempt=attempt, sequence=2, lines=[(START_US, INFO, 0, text)])

    assert messages(get("?page=2&page_size=5")) == [text]
