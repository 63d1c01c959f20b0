"""A person's own API tokens."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from projects.models import ApiToken
from projects.services import create_token
from tests.factories import Caller, everything

pytestmark = pytest.mark.django_db


def test_a_new_token_is_shown_once_and_works(as_viewer):
    created = as_viewer.call("POST", "/tokens", {"name": "laptop"}).json()

    listed = as_viewer.call("GET", "/tokens").json()

    assert Caller(token=created["token"]).call("GET", "/projects").status_code == 200
    assert created["id"] in {item["id"] for item in listed}
    assert {"token", "digest"}.isdisjoint(listed[0])


def test_a_token_is_hashed_at_rest(as_viewer):
    secret = as_viewer.call("POST", "/tokens", {"name": "laptop"}).json()["token"]

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM projects_apitoken")
        stored = repr(cursor.fetchall())

    assert len(secret) >= 64
    assert secret not in stored
    assert secret[20:] not in stored


def test_tokens_of_two_calls_differ(as_viewer):
    secrets = {as_viewer.call("POST", "/tokens", {"name": "same"}).json()["token"] for _ in range(3)}

    assert len(secrets) == 3


def test_a_token_lives_90_days_unless_told_otherwise(as_viewer):
    usual = as_viewer.call("POST", "/tokens", {"name": "usual"}).json()
    short = as_viewer.call("POST", "/tokens", {"name": "short", "days": 1}).json()

    lifetimes = [
        token.expiry - token.created for token in ApiToken.objects.filter(token_key__in=[usual["id"], short["id"]])
    ]

    assert sorted(round(life / timedelta(days=1)) for life in lifetimes) == [1, 90]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "x", "days": 0}, "days"),
        ({"name": "x", "days": 366}, "days"),
        ({"name": "x", "days": "many"}, "days"),
        ({"name": "x", "days": 1.5}, "days"),
        ({"name": "x", "days": 1e300}, "days"),
        ({"name": "x", "user": 1}, "user"),
    ],
)
def test_bad_input_makes_no_token(as_viewer, body, field):
    before = everything()

    answer = as_viewer.call("POST", "/tokens", body)

    assert answer.status_code == 400
    assert field in answer.json()
    assert everything() == before


def test_a_revoked_token_is_refused_from_the_next_request_on(as_viewer):
    created = as_viewer.call("POST", "/tokens", {"name": "laptop"}).json()
    laptop = Caller(token=created["token"])

    revoked = as_viewer.call("DELETE", f"/tokens/{created['id']}")

    assert revoked.status_code == 204
    assert laptop.call("GET", "/projects").status_code == 401


def test_a_token_of_somebody_else_is_not_there(as_viewer, admin):
    other, _ = create_token(user=admin, name="ada's")
    before = everything()

    answer = as_viewer.call("DELETE", f"/tokens/{other.token_key}")

    assert answer.status_code == 404
    assert everything() == before


def test_the_list_shows_ones_own_tokens(as_viewer, admin):
    create_token(user=admin, name="ada's")

    assert [item["name"] for item in as_viewer.call("GET", "/tokens").json()] == ["tests"]


def test_an_expired_token_is_refused(viewer):
    token, secret = create_token(user=viewer, name="old")
    ApiToken.objects.filter(pk=token.pk).update(expiry=timezone.now() - timedelta(seconds=1))

    answer = Caller(token=secret).call("GET", "/projects")

    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_failed")


def test_a_token_says_when_it_expires(as_viewer):
    created = as_viewer.call("POST", "/tokens", {"name": "laptop", "days": 7}).json()

    assert created["expires_at"][:10] == (timezone.now() + timedelta(days=7)).strftime("%Y-%m-%d")
