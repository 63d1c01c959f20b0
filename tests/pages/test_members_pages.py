"""The members' page."""

import pytest
from django.urls import reverse

from tests.factories import everything, new_user
from tests.pages.reading import flashes, text_of


@pytest.fixture
def place(project):
    return reverse("members", args=[project.uid])


def test_member_is_added(browse, project, place, admin):
    new_user("nora")

    answer = browse("admin").post(place, {"username": "nora", "role": "editor"}, follow=True)

    assert flashes(answer) == ["nora is editor now."]
    assert project.memberships.get(user__username="nora").role == "editor"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"username": "nobody", "role": "viewer"}, "There is no such active user."),
        ({"username": "", "role": "viewer"}, "This field is required."),
        ({"username": "vera", "role": "king"}, "Select a valid choice."),
    ],
)
def test_bad_member_is_told_and_nothing_is_kept(browse, place, admin, viewer, typed, sentence):
    browser = browse("admin")
    before = everything()

    answer = browser.post(place, typed)

    assert answer.status_code == 400
    assert sentence in text_of(answer)
    assert everything() == before


def test_last_admin_stays_admin(browse, project, place, admin):
    answer = browse("admin").post(place, {"username": "ada", "role": "viewer"})

    assert answer.status_code == 409
    assert "A project keeps at least one admin" in text_of(answer)
    assert project.memberships.get(user=admin).role == "admin"


def test_member_is_removed(browse, project, admin, viewer):
    browse("admin").post(reverse("member-remove", args=[project.uid, "vera"]))

    assert not project.memberships.filter(user=viewer).exists()


def test_last_admin_is_not_removed(browse, project, admin):
    answer = browse("admin").post(reverse("member-remove", args=[project.uid, "ada"]), follow=True)

    assert flashes(answer) == ["A project keeps at least one admin; name another one first."]
    assert project.memberships.filter(user=admin).exists()


def test_removing_someone_who_is_no_member_is_not_found(browse, project, admin, stranger):
    assert browse("admin").post(reverse("member-remove", args=[project.uid, "sten"])).status_code == 404


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_members_may_see_the_members_and_why_they_cannot_change_them(browse, request, place, role):
    request.getfixturevalue(role)

    text = text_of(browse(role).get(place))

    assert "<bdi>ada</bdi>" in text
    assert f"You are {role} here. Admins of the project add people and change roles." in text
    assert "<select" not in text
    assert "Remove" not in text


def test_role_is_changed_in_place(browse, project, place, admin, viewer):
    answer = browse("admin").post(place, {"username": "vera", "role": "editor"}, follow=True)

    assert flashes(answer) == ["vera is editor now."]
    assert '<option value="editor" selected>' in text_of(answer)


def test_removing_asks_first(browse, project, admin, viewer):
    answer = browse("admin").get(reverse("member-remove", args=[project.uid, "vera"]))

    assert "Remove <bdi>vera</bdi>?" in text_of(answer)
    assert project.memberships.filter(user=viewer).exists()


def test_who_leaves_is_led_to_the_projects_that_are_left(browse, project, admin, viewer):
    project.memberships.filter(user=viewer).update(role="admin")

    answer = browse("viewer").post(reverse("member-remove", args=[project.uid, "vera"]), follow=True)

    assert answer.redirect_chain == [(reverse("projects"), 302)]
    assert flashes(answer) == ["vera does not belong to Summaries any more."]


def test_an_operator_who_leaves_still_sees_the_members(browse, project, operator):
    project.memberships.create(user=operator, role="viewer")

    answer = browse("operator").post(reverse("member-remove", args=[project.uid, "olga"]))

    assert answer["Location"] == reverse("members", args=[project.uid])
