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
