"""The first operator, the ways in, and the first project of a new installation."""

import pytest
from django.contrib.auth import get_user_model

from projects.models import ApiToken
from tests.factories import Caller
from trainhub.operators import first_operator, new_operator_token, sign_in_link
from trainhub.quickstart import create_quickstart

pytestmark = pytest.mark.django_db


def test_the_first_operator_is_made_once_and_has_no_password():
    operator = first_operator()

    assert first_operator() == operator
    assert (operator.is_staff, operator.is_superuser, operator.has_usable_password()) == (True, True, False)
    assert get_user_model().objects.count() == 1


def test_a_new_token_works_and_the_ones_before_go_on_working():
    tokens = [new_operator_token("first"), new_operator_token("second")]

    assert [Caller(token=token).call("GET", "/projects").status_code for token in tokens] == [200, 200]
    assert ApiToken.objects.count() == 2


def test_a_sign_in_link_works_once(client, settings):
    path = sign_in_link(first_operator()).removeprefix(settings.PUBLIC_URL)

    first = client.get(path)
    client.logout()
    second = client.get(path)

    assert (first.status_code, second.status_code) == (302, 403)
    assert "sessionid" not in client.cookies


def test_a_link_of_another_person_or_none_is_refused(client):
    assert client.get("/ui/sign-in/link?link=AAAAAAAA").status_code == 403
    assert client.get("/ui/sign-in/link").status_code == 403


def test_a_preview_of_the_link_does_not_use_it_up(client, settings):
    path = sign_in_link(first_operator()).removeprefix(settings.PUBLIC_URL)

    client.head(path)

    assert client.get(path).status_code == 302


def test_the_quickstart_is_a_real_run():
    project = create_quickstart(first_operator())

    run = project.runs.get()

    assert (project.name, run.recipe, run.status, run.is_simulated) == ("Quickstart", "tiny-gpt", "queued", False)
