"""How errors reach the client: JSON with a code, never a traceback, 503 while the database is away."""

import pytest
from django.db import OperationalError
from django.test import Client

from projects.querysets import ProjectQuerySet
from tests.factories import JSON, Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def broken(monkeypatch):
    """Let every look at projects fail with the given error."""

    def break_with(error):
        def fail(self, user):
            raise error

        monkeypatch.setattr(ProjectQuerySet, "visible_to", fail)

    return break_with


@pytest.mark.parametrize("path", ["/nothing", "/projects/", "/projects/proj_x/nothing", "/node/nothing", "/ui/nothing"])
def test_an_unknown_path_is_404_in_json(as_viewer, path):
    answer = as_viewer.call("GET", path)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["Content-Type"] == JSON


def test_a_browser_gets_a_page(client):
    answer = client.get("/nothing", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "404" in answer.content.decode()


def test_a_busy_database_is_503_with_retry_after(as_viewer, broken):
    broken(OperationalError("database is locked"))

    answer = as_viewer.call("GET", "/projects")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "2"
    assert b"locked" not in answer.content


def test_a_defect_is_500_in_json_without_a_traceback(viewer, broken):
    broken(RuntimeError("secret detail"))
    caller = Caller(viewer)
    caller.raise_request_exception = False

    answer = caller.call("GET", "/projects")

    assert (answer.status_code, answer.json()["code"]) == (500, "server_error")
    assert b"secret detail" not in answer.content
    assert b"Traceback" not in answer.content


def test_a_host_that_is_not_ours_is_400_in_json(as_viewer):
    answer = as_viewer.get("/projects", headers={"Host": "evil.example"})

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("accept", ["text/csv", "application/xml", "image/png", "nonsense", "*", "a/b/c;;q=x"])
def test_a_form_that_we_do_not_speak_is_406_in_json(as_viewer, accept):
    answer = as_viewer.call("GET", "/projects", Accept=accept)

    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x", ""])
def test_a_body_that_is_no_json_is_415(as_viewer, kind):
    answer = as_viewer.generic("POST", "/projects", b"name=x", content_type=kind)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_a_form_without_its_token_is_403_in_json_for_programs(viewer):
    client = Client(enforce_csrf_checks=True)
    client.force_login(viewer)

    answer = client.post("/admin/logout/", headers={"Accept": JSON})

    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


@pytest.mark.parametrize("path", ["/projects", "/health", "/schema", "/nothing"])
def test_answers_are_private_and_typed(as_viewer, path):
    headers = as_viewer.get(path).headers

    assert headers["Cache-Control"] == "no-store, private"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/projects", "/runs", "/recipes", "/tokens"])
def test_head_and_options_answer(as_viewer, method, path):
    assert as_viewer.call(method, path).status_code == 200
