"""Errors as a browser meets them: each is a page that says what happened and what to do, in any condition."""

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.urls import reverse

from projects.querysets import ProjectQuerySet
from tests.pages.conftest import Browser
from tests.pages.reading import flashes, read, text_of
from trainhub.errors import Conflict, NotAllowed, Removed, StorageFull
from trainhub.pages import REFUSALS

CONDITIONS = [
    (SuspiciousOperation(), 400),
    (PermissionDenied(), 403),
    (NotAllowed("no"), 403),
    (Conflict("no"), 409),
    (Removed("gone"), 410),
    (RuntimeError("secret"), 500),
    (OperationalError("secret"), 503),
    (InterfaceError("secret"), 503),
    (StorageFull("full"), 507),
]


@pytest.fixture
def broken(monkeypatch, viewer):
    """Return a browser for which every look at projects fails with the given error."""

    def break_with(error):
        def fail(self, user):
            raise error

        monkeypatch.setattr(ProjectQuerySet, "visible_to", fail)
        browser = Browser(viewer)
        browser.raise_request_exception = False
        return browser

    return break_with


@pytest.mark.parametrize(("error", "status"), CONDITIONS, ids=lambda value: type(value).__name__)
def test_what_a_view_meets_becomes_a_page(broken, error, status):
    answer = broken(error).get(reverse("projects"))

    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert REFUSALS[status].title in text_of(answer)
    assert REFUSALS[status].advice in answer.context["advice"]
    assert "secret" not in text_of(answer)
    assert read(answer).inline == []


def test_a_database_that_is_away_is_told_with_when_to_come_back(broken):
    answer = broken(OperationalError("no such host")).get(reverse("projects") + "?q=1")

    assert answer.headers["Retry-After"] == "2"
    assert 'href="/ui/projects?q=1"' in text_of(answer)


def test_a_database_that_is_away_for_all_is_told_without_it(db, browse, monkeypatch, viewer):
    browser = Browser(viewer)
    browser.raise_request_exception = False

    def refuse(*arguments, **options):
        raise OperationalError("no connection")

    with monkeypatch.context() as patched:
        patched.setattr("django.db.backends.utils.CursorWrapper.execute", refuse)
        answer = browser.get("/")

    assert answer.status_code == 503
    assert "database is away" in text_of(answer)


def test_a_database_that_fails_in_middleware_is_503_too(db, monkeypatch):
    def refuse(self, request, response):
        raise OperationalError("no connection")

    monkeypatch.setattr("django.contrib.sessions.middleware.SessionMiddleware.process_response", refuse)
    browser = Browser()
    browser.raise_request_exception = False

    assert browser.get("/ui/sign-in").status_code == 503


def test_a_form_that_was_sent_is_not_offered_for_another_try(broken, project):
    answer = broken(OperationalError("x")).post(reverse("project-archive", args=[project.uid]))

    assert answer.status_code == 503
    assert "Try again<" not in text_of(answer)


def test_an_unknown_path_is_a_page(browse, viewer):
    answer = browse("viewer").get("/ui/nothing")

    assert answer.status_code == 404
    assert "ask for access" in text_of(answer)


def test_a_host_that_is_not_ours_is_a_page(browse, viewer):
    answer = browse("viewer").get("/ui/projects", headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert "evil.example" not in text_of(answer)


@pytest.mark.parametrize(("path", "method"), [("/ui/sign-out", "GET"), ("/ui/theme", "GET"), ("/ui/runs", "POST")])
def test_a_wrong_method_is_a_page_that_names_the_right_one(browse, viewer, path, method):
    answer = browse("viewer").generic(method, path)

    assert answer.status_code == 405
    assert "Not possible this way" in text_of(answer)
    assert ("POST" if method == "GET" else "GET") in answer.headers["Allow"]


def test_a_form_with_too_many_bytes_is_413(browse, viewer, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    answer = browse("viewer").post(reverse("project-new"), {"name": "x" * 2000})

    assert answer.status_code == 413
    assert "A form takes at most 1 kB." in text_of(answer)


def test_a_form_with_too_many_bytes_is_413_where_the_token_is_looked_for(viewer, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    browser = Browser(viewer)
    browser.handler.enforce_csrf_checks = True
    browser.get(reverse("project-new"))

    answer = browser.post(
        reverse("project-new"), b"name=" + b"x" * 2000, content_type="application/x-www-form-urlencoded"
    )

    assert answer.status_code == 413


def test_a_form_with_too_many_fields_is_413(browse, viewer, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 5

    answer = browse("viewer").post(reverse("project-new"), {f"field-{number}": "x" for number in range(9)})

    assert answer.status_code == 413
    assert "A form takes at most 5 fields." in text_of(answer)


def test_a_form_without_the_cookie_that_protects_it_is_refused_with_a_page(admin, project):
    browser = Browser(admin)
    browser.handler.enforce_csrf_checks = True

    answer = browser.post(reverse("project-archive", args=[project.uid]))

    assert answer.status_code == 403
    assert "Allow cookies for this hub" in text_of(answer)


def test_a_form_that_is_too_old_is_refused_with_a_page(admin, project):
    browser = Browser(admin)
    browser.handler.enforce_csrf_checks = True
    browser.get(reverse("project-archive", args=[project.uid]))

    answer = browser.post(reverse("project-archive", args=[project.uid]), {"csrfmiddlewaretoken": "x" * 64})

    assert answer.status_code == 403
    assert "This form is too old" in text_of(answer)
    assert "Nothing was changed." in text_of(answer)


def test_text_in_an_address_is_text_on_the_page_about_it(broken):
    answer = broken(OperationalError("x")).get(reverse("projects") + '?q="><script>alert(1)</script>')

    assert "<script>alert" not in text_of(answer)


def test_signing_out_is_told_on_the_page_that_follows(browse, viewer):
    answer = browse("viewer").post("/ui/sign-out", follow=True)

    assert flashes(answer) == ["You are signed out."]
    assert "You are signed out." in text_of(answer)


def test_who_is_locked_out_is_told_for_how_long_and_what_helps(browse, db, settings):
    settings.AXES_FAILURE_LIMIT = 1

    answer = browse("anonymous").post("/ui/sign-in", {"username": "paula", "password": "wrong"})

    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "900"
    assert "manage.py signinlink" in text_of(answer)
