"""Looking for text in a run's log over the API, and the compressed download."""

import zlib

import pytest

from tests.factories import new_attempt, run_path
from tests.runs.telemetry.builders import append_lines

pytestmark = pytest.mark.django_db
INFO, ERROR = 1, 3


@pytest.fixture
def attempt(project):
    """A running attempt with ten lines; those of an odd number are errors on stderr."""
    attempt = new_attempt(project=project)
    lines = [(n * 1_000_000, ERROR if n % 2 else INFO, n % 2, f"step {n} loss=0.{n}") for n in range(10)]
    append_lines(attempt=attempt, sequence=1, lines=lines)
    return attempt


@pytest.fixture
def get(as_viewer, attempt):
    return lambda place, **headers: as_viewer.call("GET", f"{run_path(attempt.run)}/logs{place}", **headers)


def numbers(answer):
    return [item["line"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("contains=STEP+3", [3]),
        ("contains=step&level=ERROR", [1, 3, 5, 7, 9]),
        ("contains=step&stream=stdout&start_time=1970-01-01T00:00:04Z", [4, 6, 8]),
        ("contains=step&attempt=2", []),
        ("regex=loss%3D0%5C.%5B78%5D%24", [7, 8]),
        ("regex=STEP", []),
        ("regex=STEP&ignore_case=true&end_time=1970-01-01T00:00:02Z", [0, 1]),
    ],
)
def test_a_search_gives_the_lines_that_match(get, query, lines):
    answer = get(f"/search?{query}")

    assert numbers(answer) == lines
    assert (answer.json()["next"], answer.json()["searched"], answer.json()["total"]) == (None, 10, 10)


def test_a_search_goes_on_from_its_cursor(get):
    first = get("/search?contains=step&level=ERROR&limit=2").json()

    second = get(f"/search?contains=step&level=ERROR&limit=2&after={first['next']}")

    assert [item["line"] for item in first["items"]] == [1, 3]
    assert (first["next"], first["searched"], first["total"]) == (5, 5, 10)
    assert numbers(second) == [5, 7]


def test_a_search_that_runs_out_of_time_tells_how_far_it_came(get, monkeypatch, attempt):
    append_lines(attempt=attempt, sequence=2, lines=[(0, INFO, 0, "x" * 1000)] * 1000)
    monkeypatch.setattr("runs.api.logs.SEARCH_SECONDS", 0)

    answer = get("/search?contains=nowhere").json()

    assert (answer["items"], answer["next"], answer["searched"], answer["total"]) == ([], 10, 10, 1010)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "contains"),
        ("contains=a&regex=b", "contains"),
        ("contains=", "contains"),
        (f"contains={'x' * 201}", "contains"),
        ("regex=", "regex"),
        (f"regex={'x' * 201}", "regex"),
        ("regex=(", "regex"),
        ("regex=(?=a)", "regex"),
        ("regex=(a)%5C1", "regex"),
        ("regex=a&ignore_case=yes", "ignore_case"),
        ("contains=a&after=-1", "after"),
        ("contains=a&limit=0", "limit"),
        ("contains=a&limit=501", "limit"),
        ("contains=a&level=LOUD", "level"),
        ("contains=a&page=1", "page"),
    ],
)
def test_a_bad_search_is_400_and_names_the_field(get, query, field):
    answer = get(f"/search?{query}")

    assert answer.status_code == 400
    assert field in answer.json()


def test_a_hostile_pattern_takes_no_time(get, attempt):
    append_lines(attempt=attempt, sequence=2, lines=[(0, INFO, 0, "a" * 10_000 + "!")])

    assert numbers(get("/search?regex=(a%2B)%2B%24")) == []


def test_words_in_a_page_of_too_many_lines_lead_to_the_search(get, monkeypatch):
    monkeypatch.setattr("runs.telemetry.log_pages.MAX_SCANNED_LINES", 9)

    answer = get("?contains=step")

    assert answer.status_code == 400
    assert "/logs/search" in answer.json()["contains"][0]
    assert get("?contains=step&level=ERROR").json()["total"] == 5


@pytest.mark.parametrize("accept", ["gzip", "br, gzip;q=0.5", "deflate, GZIP"])
@pytest.mark.parametrize("form", ["text", "ndjson"])
def test_a_download_is_one_gzip_stream_for_who_takes_gzip(get, attempt, accept, form):
    append_lines(attempt=attempt, sequence=2, lines=[(0, INFO, 0, "x" * 100)] * 2500)
    plain = get(f"/download?as={form}").getvalue()

    answer = get(f"/download?as={form}", **{"Accept-Encoding": accept})

    assert answer["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer["Vary"]
    reader = zlib.decompressobj(wbits=31)
    assert reader.decompress(answer.getvalue()) == plain
    assert (reader.eof, reader.unused_data) == (True, b"")


@pytest.mark.parametrize("accept", ["", "identity", "gzip;q=0", "br"])
def test_a_download_is_plain_for_who_does_not(get, accept):
    answer = get("/download", **{"Accept-Encoding": accept})

    assert "Content-Encoding" not in answer
    assert answer.getvalue().count(b"\n") == 10


@pytest.mark.parametrize(
    ("query", "lines"), [("level=ERROR", 5), ("contains=step+3", 1), ("start_time=1970-01-01T00:00:08Z", 2)]
)
def test_a_download_takes_the_filters(get, query, lines):
    assert get(f"/download?{query}").getvalue().count(b"\n") == lines
