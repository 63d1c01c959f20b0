"""Paths, query strings, methods and headers made to break something."""

import pytest

from tests.factories import artifact_path, everything, new_artifact, new_run, run_path, runner_of

pytestmark = pytest.mark.django_db
PIECES = {
    "NUL": "%00",
    "NUL after an id": "{id}%00",
    "slash": "{id}%2f..",
    "dots": "..",
    "encoded dots": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "double encoded": "%252e%252e%252f",
    "backslash": "..%5c..%5cwindows",
    "semicolon": "{id};x=1",
    "newline": "{id}%0a",
    "carriage return": "{id}%0d%0aSet-Cookie:x=1",
    "invalid UTF-8": "%ff%fe",
    "overlong": "%c0%ae%c0%ae",
    "surrogate": "%ed%a0%80",
    "unicode": "%E6%A8%A1%F0%9F%9A%82",
    "full width digits": "proj_%EF%BC%91",
    "percent alone": "%",
    "half an escape": "%4",
    "quote": "'%20OR%201=1--",
    "markup": "%3Cscript%3E",
    "template": "%7B%7B7*7%7D%7D",
    "wildcard": "*",
    "upper case": "PROJ_ABC",
    "number": "1",
    "negative": "-1",
    "long": "proj_" + "a" * 5000,
    "other kind": "run_0000000000000000",
    "unknown": "proj_0000000000000000",
}


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("path", ["/projects/{}", "/projects/{}/runs", "/ui/projects/{}", "/node/artifacts/{}"])
def test_an_id_that_is_none_is_not_found_in_json(as_anybody, project, path, piece):
    answer = as_anybody.get(path.format(piece.format(id=project.uid)))

    assert answer.status_code in {401, 404, 302}
    assert answer.headers["Content-Type"].startswith(("application/json", "text/html"))
    assert "Set-Cookie" not in answer.headers.get("Location", "")


PLACES = [
    ("POST", "{project}/runs/{}/cancel"),
    ("DELETE", "{artifact}/tags/{}"),
    ("GET", "{artifact}/files/x{}"),
    ("DELETE", "{project}/members/{}"),
    ("DELETE", "/tokens/{}"),
    ("GET", "/recipes/{}"),
]
EVERY_PIECE = [("POST", "{run}/artifacts/{}/tag", piece) for piece in PIECES.values()]
SOME_PIECES = [(*place, PIECES[name]) for place in PLACES for name in ("NUL", "encoded dots", "unicode", "long")]


@pytest.mark.parametrize(("method", "path", "piece"), [*EVERY_PIECE, *SOME_PIECES])
def test_a_piece_of_a_path_that_names_nothing_is_404_and_changes_nothing(as_anybody, checkpoint, method, path, piece):
    before = everything()
    run = checkpoint.run
    places = {"project": f"/projects/{run.project.uid}", "run": run_path(run), "artifact": artifact_path(checkpoint)}
    filled = path.format(piece.format(id=run.uid), **places)

    answer = as_anybody.call(method, filled, {"tag": "release"})

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert everything() == before


QUERIES = [
    "%00=1",
    "page=%00",
    "page=1%00",
    "page=%EF%BC%91",
    "page=1e3",
    "page=0x1",
    "page=NaN",
    "page=Infinity",
    "page=-1",
    "page=" + "9" * 30,
    "page=" + "9" * 5000,
    "page_size=0",
    "page_size=%2B1",
    "page[]=1",
    "page.x=1",
    "%ff%fe=%ff",
    "%ed%a0%80=1",
    "__class__=1",
    "self=1",
    "a" * 5000 + "=1",
    "&".join(f"f{number}=1" for number in range(1001)),
    "page=1&page=x",
]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("path", ["/runs", "{run}/logs", "{run}/events"])
def test_a_query_made_to_break_something_is_400(as_anybody, checkpoint, path, query):
    answer = as_anybody.call("GET", f"{path.format(run=run_path(checkpoint.run))}?{query}")

    assert answer.status_code == 400
    assert answer.json()["code"] in {"invalid", "bad_request"}
    assert len(answer.content) < 10_000


SEARCHES = [
    "%25",
    "_",
    "%5C",
    "'",
    "%22",
    "%00",
    "%ff",
    "%ed%a0%80",
    "%F0%9F%9A%82",
    "(",
    "[",
    "*",
    "x" * 200,
    "%E2%80%AE",
]


@pytest.mark.parametrize("text", SEARCHES)
@pytest.mark.parametrize("path", ["/runs?q=", "/projects?q=", "{run}/logs?contains=", "/ui/runs?q=", "/ui/projects?q="])
def test_a_search_finds_or_refuses_and_never_breaks(as_anybody, client, operator, checkpoint, path, text):
    client.force_login(operator)

    answer = client.get(path.format(run=run_path(checkpoint.run)) + text)

    assert answer.status_code in {200, 400}


TIMES = [
    "2024-01-02",
    "2024-W01-2",
    "20240102T100000Z",
    "0001-01-01T00:00:00%2B23:59",
    "9999-12-31T23:59:59-23:59",
    "2024-02-30",
    "2024-01-02T24:00:00",
    "2024-01-02T10:00:60Z",
    "10000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "2024-01-02T10:00:00%2B99:99",
    "now",
    "1e10",
    "%00",
    "٢٠٢٤-٠١-٠٢",
    "2024-01-02T10:00:00.123456789Z",
]


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize(
    "path", ["/runs?created_after=", "{run}/logs?start_time=", "{run}/logs?end_time=", "{run}/metrics?start_time="]
)
def test_a_time_is_read_or_refused_and_never_breaks(as_anybody, checkpoint, path, time):
    answer = as_anybody.call("GET", path.format(run=run_path(checkpoint.run)) + time)

    assert answer.status_code in {200, 400}
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "FOO", "get", "X" * 1000, "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/projects", "/runs", "/executors"])
def test_another_method_is_405_in_json(as_anybody, path, method):
    answer = as_anybody.call(method, path)

    assert answer.status_code == 405 or method == "get"
    assert answer.headers["Content-Type"] == "application/json"


HEADERS = {
    "Accept": ["x" * 20_000, ",".join(["text/html;q=0.1"] * 1000), "\x00", "é", "*/*;q=nonsense", ";;;", "text/*"],
    "Accept-Language": ["x" * 20_000, "%00", "-" * 500],
    "Prefer": ["wait=" + "9" * 5000, "wait=\x00", "wait=1;" * 1000, "é"],
    "If-None-Match": ["*", '"' * 500],
    "If-Modified-Since": ["yesterday", "Thu, 99 Foo 99999 99:99:99 GMT"],
    "Range": ["bytes=0-", "bytes=99999999999999999999-", "x"],
    "Cookie": ["x" * 20_000, "trainhub_session_8000=../../etc", "=;=;=", "é=é"],
    "X-Forwarded-For": ["1.1.1.1, " * 1000, "'\"<>"],
    "X-Forwarded-Host": ["evil.example"],
    "X-HTTP-Method-Override": ["DELETE"],
    "Content-Encoding": ["gzip"],
    "Content-Length": ["x", "-1"],
    "Origin": ["null", "https://evil.example"],
    "Referer": ["\x00", "x" * 20_000],
    "HX-Request": ["true"],
}
PAIRS = [(name, value) for name, values in HEADERS.items() for value in values]


@pytest.mark.parametrize(("name", "value"), PAIRS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(PAIRS)])
def test_a_header_made_to_break_something_does_not(as_anybody, checkpoint, name, value):
    before = everything()

    answers = [
        as_anybody.get(path, headers={name: value}) for path in ("/projects", run_path(checkpoint.run), "/health")
    ]

    assert {answer.status_code for answer in answers} <= {200, 406}
    assert all(answer.headers["Content-Type"].startswith(("application/json", "text/html")) for answer in answers)
    assert everything() == before


@pytest.mark.parametrize("key", ["\x00", "é" * 128, "a\nb", "a" * 10_000, "\ud83d", " ", "%00"])
def test_a_key_made_to_break_something_stores_one_project_or_none(as_anybody, key):
    answers = [as_anybody.call("POST", "/projects", {"name": "x"}, Idempotency_Key=key) for _ in range(2)]

    assert answers[0].status_code == answers[1].status_code
    assert answers[0].status_code in {201, 400}
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize(
    "place", ["claim", "started", "heartbeat", "logs", "metrics", "exit", "artifacts", "artifacts/ckpt_0/complete"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"])
def test_another_method_of_a_runner_is_405_in_json(as_anybody, checkpoint, place, method):
    before = everything()

    answer = runner_of(checkpoint.attempt).call(method, f"/node/{place}")

    assert (answer.status_code, answer.headers["Content-Type"]) == (405, "application/json")
    assert everything() == before


def test_everything_still_works_after_a_storm(as_anybody, checkpoint, looked_at):
    new_artifact(new_run(checkpoint.run.project, status="failed"), state="corrupt")

    [as_anybody.get(f"/projects/{piece}") for piece in PIECES.values()]
    [as_anybody.get(f"/runs?{query}") for query in QUERIES]

    assert looked_at() == {}
