"""Logs: one JSON object a line, tied to the request by an id, and never with a secret in it."""

import io
import json
import logging
import logging.config
import time

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse

from tests.factories import Caller, new_attempt, new_run, new_user, runner_of
from trainhub import logs, requests
from trainhub.operators import sign_in_link


@pytest.fixture
def written(monkeypatch):
    """Write logs as JSON to a text, and return what reads its lines."""
    monkeypatch.setenv("TRAINHUB_LOG_FORMAT", "json")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)


def answered(lines):
    return [line for line in lines if line["message"] == "request answered"]


@pytest.mark.django_db
def test_a_request_is_a_line_with_what_it_was(written, as_operator, operator):
    answer = as_operator.get("/projects?name=private+words")

    (line,) = answered(written())
    assert (line["method"], line["path"], line["status"]) == ("GET", "/projects", answer.status_code)
    assert (line["level"], line["logger"], line["user"]) == ("INFO", "trainhub.requests", operator.pk)
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert 0 < line["seconds"] < 60
    assert line["time"].endswith("Z")


@pytest.mark.django_db
def test_a_person_is_known_by_the_session_and_nobody_is_nobody(written):
    user = new_user("vera")
    browser = Client()
    browser.force_login(user)

    browser.get("/ui/password")
    Client().get("/ui/sign-in")

    assert [line.get("user") for line in answered(written())] == [user.pk, None]


@pytest.mark.django_db
def test_what_comes_many_times_a_second_gets_a_line_when_it_fails(written):
    Client().get("/health/live")
    Client().post("/node/heartbeat")

    assert [(line["path"], line["status"]) for line in answered(written())] == [("/node/heartbeat", 401)]


@pytest.mark.parametrize("given", ["abc", "0a1b-2.c_D", "x" * 64])
def test_an_id_that_comes_with_a_request_is_kept(given):
    assert Client().get("/health", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", 'a"b', "é", "<script>", "a\tb"])
def test_an_id_with_anything_odd_in_it_is_replaced(given):
    made = Client().get("/health", headers={"X-Request-ID": given}).headers["X-Request-ID"]

    assert made != given
    assert len(made) > 10


def test_ids_differ_between_requests_and_after_a_fork():
    ids = requests._Ids()
    first, second = ids(), ids()
    ids.start()

    assert len({first, second, ids()}) == 3


def test_an_exception_is_a_field_and_the_line_stays_one(written):
    request = RequestFactory().get("/broken")
    request.request_id = "the-id"
    mark = logs.current_request.set(request)
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logging.getLogger("trainhub.somewhere").exception("it failed\nhere")
    finally:
        logs.current_request.reset(mark)

    (line,) = written()
    assert (line["level"], line["message"], line["request_id"]) == ("ERROR", "it failed\nhere", "the-id")
    assert line["exception"].startswith("Traceback")
    assert "ValueError: first\nsecond" in line["exception"]


@pytest.mark.django_db
def test_no_secret_is_ever_written(written, project):
    user = new_user("ada b", password="correct horse battery")
    caller, runner = Caller(user), runner_of(new_attempt(new_run(project)))
    link = sign_in_link(user)

    caller.get("/projects", headers={"Cookie": "sessionid=cookie-secret"})
    runner.post("/node/nowhere")
    Client().get(link.partition(":8000")[2] or link)
    Client().post(reverse("sign-in"), {"username": "ada b", "password": "correct horse battery"})
    logging.getLogger("trainhub").warning("it sent Authorization: Bearer %s and %s", "0123abcd" * 8, link)
    logging.getLogger("django.db").warning("postgresql://hub:hunter2@db/hub refused, password=hunter2")

    text = json.dumps(written())
    secrets = [caller.defaults["HTTP_AUTHORIZATION"].split()[1], runner.defaults["HTTP_AUTHORIZATION"].split()[1]]
    for secret in (*secrets, link.partition("link=")[2], "correct horse", "hunter2", "0123abcd", "cookie-secret"):
        assert secret not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bearer abc.def", "Bearer [masked]"),
        ("GET /ui/sign-in/link?link=AAAA&x=1", "GET /ui/sign-in/link?link=[masked]&x=1"),
        ('{"token": "abc", "n": 1}', '{"token": "[masked]", "n": 1}'),
        ("postgresql://hub:pa%20ss@host/db", "postgresql://hub:[masked]@host/db"),
        ("AWS_SECRET_ACCESS_KEY=abc", "AWS_SECRET_ACCESS_KEY=[masked]"),
        ("aws_secret_access_key: abc", "aws_secret_access_key: [masked]"),
        ("TRAINHUB_SECRET_KEY=abc TRAINHUB_PORT=1", "TRAINHUB_SECRET_KEY=[masked] TRAINHUB_PORT=1"),
        ("TRAINHUB_METRICS_TOKEN='a b'", "TRAINHUB_METRICS_TOKEN='[masked]'"),
        ("PGPASSWORD=p@s;", "PGPASSWORD=[masked];"),
        ("api_token=abc&csrfmiddlewaretoken=abc", "api_token=[masked]&csrfmiddlewaretoken=[masked]"),
        ("X-CSRFToken: abc", "X-CSRFToken: [masked]"),
        ("Cookie: trainhub_session_8000=a; trainhub_csrf_8000=b\nnext", "Cookie: [masked]\nnext"),
        ("'HTTP_COOKIE': 'sessionid=a'", "'HTTP_COOKIE': [masked]"),
        ("sessionid=abc link_token=b", "sessionid=[masked] link_token=[masked]"),
        ("Authorization: Basic abc=", "Authorization: Basic [masked]"),
        ("Authorization: abc", "Authorization: [masked]"),
        ("client --token abc --host x", "client --token [masked] --host x"),
        ("['--api-token', 'abc', 'x']", "['--api-token', '[masked]', 'x']"),
        ("X-Amz-Security-Token=a&X-Amz-Signature=b", "X-Amz-Security-Token=[masked]&X-Amz-Signature=[masked]"),
        ("postgresql://u:p@ss@h/d", "postgresql://u:[masked]@h/d"),
        ("postgresql://u:p/s:s@h/d", "postgresql://u:[masked]@h/d"),
        ('password="two words" more', 'password="[masked]" more'),
        (r'password: "a\"b" more', 'password: "[masked]" more'),
        ("{'password': 'abc'}", "{'password': '[masked]'}"),
        ("the token of a run is gone", "the token of a run is gone"),
        ("the token is unknown; max_tokens=5", "the token is unknown; max_tokens=5"),
        ("tokenizer: gpt2, symlink: /a", "tokenizer: gpt2, symlink: /a"),
        ("password authentication failed for user x", "password authentication failed for user x"),
        ("GET http://127.0.0.1:8000/runs", "GET http://127.0.0.1:8000/runs"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text, shown):
    assert logs.masked(text) == shown


@pytest.mark.parametrize(
    "text", ["token" * 20_000, "://a:" * 20_000, "password=" * 20_000, '"' * 100_000, "--" * 50_000]
)
def test_masking_a_long_text_takes_no_time(text):
    began = time.monotonic()
    logs.masked(text)

    assert time.monotonic() - began < 5


def test_plain_lines_end_with_the_request(monkeypatch):
    request = RequestFactory().get("/")
    request.request_id = "the-id"
    mark = logs.current_request.set(request)
    record = logging.LogRecord("trainhub", logging.WARNING, "", 0, "something %s", ("odd",), None)
    line = logs.PlainFormatter().format(record)
    logs.current_request.reset(mark)

    assert line.endswith("WARNING trainhub: something odd [request the-id]")
    assert logs.PlainFormatter().format(record).endswith("something odd")


def test_a_format_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setenv("TRAINHUB_LOG_FORMAT", "xml")

    with pytest.raises(ValueError, match="plain or json, not xml"):
        logs.logging_config()
