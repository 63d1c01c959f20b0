"""One's own API tokens."""

from datetime import timedelta

import pytest
from django.urls import reverse

from projects.models import ApiToken
from projects.services import create_token
from tests.factories import Caller, everything
from tests.pages.reading import text_of


def test_token_is_shown_once_and_works(browse, viewer):
    browser = browse("viewer")

    answer = browser.post(reverse("tokens"), {"name": "laptop", "days": "30"})

    secret = answer.context["secret"]
    assert answer.status_code == 201
    assert secret in text_of(answer)
    assert secret not in text_of(browser.get(reverse("tokens")))
    assert Caller(token=secret).get("/projects").status_code == 200


def test_digest_of_a_token_is_never_shown(browse, viewer):
    token, _ = create_token(user=viewer, name="laptop")

    assert token.digest not in text_of(browse("viewer").get(reverse("tokens")))


@pytest.mark.parametrize("typed", [{"name": "", "days": "3"}, {"name": "x", "days": "0"}, {"name": "x", "days": "366"},
                                   {"name": "x" * 101, "days": "3"}, {"name": "x", "days": ""}])  # fmt: skip
def test_bad_token_is_not_made(browse, viewer, typed):
    assert browse("viewer").post(reverse("tokens"), typed).status_code == 400
    assert not ApiToken.objects.exists()


def test_token_is_revoked(browse, viewer):
    token, secret = create_token(user=viewer, name="laptop")

    browse("viewer").post(reverse("token-revoke", args=[token.token_key]))

    assert Caller(token=secret).get("/projects").status_code == 401


def test_token_of_someone_else_is_not_found(browse, viewer, editor):
    token, _ = create_token(user=editor, name="laptop")
    browser = browse("viewer")
    before = everything()

    assert browser.post(reverse("token-revoke", args=[token.token_key])).status_code == 404
    assert everything() == before


def test_token_of_someone_else_is_not_listed(browse, viewer, editor):
    create_token(user=editor, name="of the editor")

    assert "of the editor" not in text_of(browse("viewer").get(reverse("tokens")))


def test_new_token_can_be_copied_by_a_button_and_by_hand(browse, viewer):
    answer = browse("viewer").post(reverse("tokens"), {"name": "laptop", "days": "30"})

    assert 'data-copies="new-token" hidden' in text_of(answer)
    assert f'id="new-token">{answer.context["secret"]}<' in text_of(answer)


def test_revoking_asks_first(browse, viewer):
    token, _ = create_token(user=viewer, name="laptop")

    answer = browse("viewer").get(reverse("token-revoke", args=[token.token_key]))

    assert "Revoke “<bdi>laptop</bdi>”?" in text_of(answer)
    assert ApiToken.objects.exists()


def test_question_about_a_token_of_someone_else_is_not_found(browse, viewer, editor):
    token, _ = create_token(user=editor, name="laptop")

    assert browse("viewer").get(reverse("token-revoke", args=[token.token_key])).status_code == 404


def test_token_that_is_past_its_time_is_marked(browse, viewer):
    create_token(user=viewer, name="old", lifetime=timedelta(days=-1))

    assert "expired" in text_of(browse("viewer").get(reverse("tokens")))
