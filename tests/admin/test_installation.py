"""The operators' page on recipes and executors."""

import pytest
from django.urls import reverse

from tests.factories import new_attempt


def text_of(desk):
    return desk.get(reverse("admin:installation")).content.decode()


def test_recipes_are_listed(desk):
    text = text_of(desk)

    assert "tiny-gpt" in text
    assert "simulate" in text


def test_folder_that_cannot_be_used_is_named_with_its_problem(desk, settings, tmp_path):
    broken = tmp_path / "broken" / "recipe.toml"
    broken.parent.mkdir()
    broken.write_text("command = 3")
    settings.RECIPE_FOLDERS = [tmp_path]

    text = text_of(desk)

    assert str(broken.parent) in text
    assert "command must be a list of texts" in text


def test_use_of_an_executor_is_counted(desk, project):
    before = text_of(desk)
    new_attempt(project=project)

    assert "0 of 4" in before
    assert "1 of 4" in text_of(desk)


def test_problems_of_an_executor_are_told(desk, monkeypatch):
    monkeypatch.setattr("runs.executors.local.LocalExecutor.problems", lambda self: ["The disk is full."])

    assert "The disk is full." in text_of(desk)


@pytest.mark.parametrize("role", ["viewer", "admin"])
def test_page_is_for_staff_alone(client, request, project, role):
    client.force_login(request.getfixturevalue(role))

    assert client.get(reverse("admin:installation")).status_code == 302
