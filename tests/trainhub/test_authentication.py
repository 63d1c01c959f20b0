"""Tokens and sessions as ways into the API."""

import pytest
from django.test import Client

from projects.services import create_token
from tests.factories import JSON, everything

pytestmark = pytest.mark.django_db


@pytest.fixture
def secret(viewer):
    return create_token(user=viewer, name="tests")[1]


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer   {}"])
def test_a_token_is_taken(secret, form):
    answer = Client().get("/projects", headers={"Authorization": form.format(secret)})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        "Bearer",
        "Bearer ",
        "Bearer {} extra",
        "Bearer {}x",
        "Bearer x{}",
        "Token {}",
        "Basic {}",
        "{}",
        "",
        "Bearer é",
        "Bearer \x7f",
        "Bearer %00",
        "Bearer ' OR 1=1 --",
        "Bearer " + "a" * 20_000,
    ],
)
def test_anything_else_is_401_with_a_code(secret, form):
    answer = Client().get("/projects", headers={"Authorization": form.format(secret)})

    assert answer.status_code == 401
    assert answer.json()["code"] in {"authentication_failed", "not_authenticated"}
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_bytes_that_are_no_utf_8_are_401():
    answer = Client().get("/projects", headers={"Authorization": b"Bearer \xff\xfe".decode("latin-1")})

    assert answer.status_code == 401


def test_unknown_and_expired_tokens_get_the_same_answer(secret, viewer):
    unknown = Client().get("/projects", headers={"Authorization": f"Bearer {secret[::-1]}"})
    viewer.auth_token_set.update(expiry="2020-01-01T00:00:00Z")

    expired = Client().get("/projects", headers={"Authorization": f"Bearer {secret}"})

    assert (expired.status_code, expired.content) == (unknown.status_code, unknown.content)


def test_a_session_reads(viewer, project):
    client = Client()
    client.force_login(viewer)

    assert client.get(f"/projects/{project.uid}", headers={"Accept": JSON}).json()["id"] == project.uid


def test_a_session_does_not_write_without_the_csrf_token(admin):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    before = everything()

    answer = client.post("/projects", {"name": "forged"}, content_type=JSON)

    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert everything() == before


def test_a_session_writes_with_the_csrf_token(admin, settings):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    client.get("/projects", headers={"Accept": "text/html"})
    token = client.cookies[settings.CSRF_COOKIE_NAME].value

    answer = client.post("/projects", {"name": "meant"}, content_type=JSON, headers={"X-CSRFToken": token})

    assert answer.status_code == 201


def test_a_token_needs_no_csrf_token(secret):
    client = Client(enforce_csrf_checks=True)

    answer = client.post("/projects", {"name": "x"}, content_type=JSON, headers={"Authorization": f"Bearer {secret}"})

    assert answer.status_code == 201


def test_a_bad_token_is_not_saved_by_a_good_session(viewer):
    client = Client()
    client.force_login(viewer)

    assert client.get("/projects", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_the_token_of_a_runner_opens_no_api(run):
    from tests.factories import new_attempt, runner_of

    assert runner_of(new_attempt(run)).call("GET", "/projects").status_code == 401
