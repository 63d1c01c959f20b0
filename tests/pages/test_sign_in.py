"""The ways in and out: password, one-time link, sign-out, password change."""

import pytest
from django.conf import settings
from django.urls import reverse

from tests.factories import fresh, new_user
from tests.pages.reading import flashes, read
from trainhub.operators import sign_in_link

PASSWORD = "quiet harbour 17 lamps"


def link_of(user):
    return sign_in_link(user).removeprefix(settings.PUBLIC_URL)


@pytest.fixture
def person(db):
    return new_user("paula", password=PASSWORD)


def is_signed_in(browser):
    return "_auth_user_id" in browser.session


def test_password_signs_in(browse, person):
    browser = browse("anonymous")

    answer = browser.post("/ui/sign-in", {"username": "paula", "password": PASSWORD, "next": "/ui/runs"})

    assert answer["Location"] == "/ui/runs"
    assert is_signed_in(browser)


def test_wrong_password_is_told_and_signs_nobody_in(browse, person):
    browser = browse("anonymous")

    answer = browser.post("/ui/sign-in", {"username": "paula", "password": "wrong"})

    assert "Please enter a correct username and password" in answer.content.decode()
    assert not is_signed_in(browser)


def test_sign_in_leads_to_no_other_host(browse, person):
    answer = browse("anonymous").post(
        "/ui/sign-in", {"username": "paula", "password": PASSWORD, "next": "https://elsewhere.example/"}
    )

    assert answer["Location"] == "/"


def test_sign_in_leads_who_is_signed_in_home_and_not_to_itself(browse, person, admin):
    page = reverse("sign-in")

    asked = browse("admin").get(page, {"next": page})
    signed_in = browse("anonymous").post(page, {"username": "paula", "password": PASSWORD, "next": f"{page}?next=x"})

    assert (asked.status_code, asked["Location"]) == (302, "/")
    assert signed_in["Location"] == "/"


def test_sign_in_leads_who_is_signed_in_to_the_page_that_was_asked_for(browse, admin):
    assert browse("admin").get(reverse("sign-in"), {"next": "/ui/runs"})["Location"] == "/ui/runs"


def test_sign_in_page_says_where_links_come_from(browse, db):
    answer = browse("anonymous").get("/ui/sign-in")

    assert "make up" in answer.content.decode()
    assert "manage.py signinlink" in answer.content.decode()
    assert read(answer).inline == []


def test_guessing_passwords_is_stopped_with_a_page(browse, person, settings):
    settings.AXES_FAILURE_LIMIT = 2
    browser = browse("anonymous")
    wrong = {"username": "paula", "password": "wrong"}
    browser.post("/ui/sign-in", wrong)

    answer = browser.post("/ui/sign-in", wrong)

    assert answer.status_code == 429
    assert "Try again in 15 min." in answer.content.decode()


def test_link_signs_in(browse, person):
    browser = browse("anonymous")

    answer = browser.get(link_of(person))

    assert answer["Location"] == "/"
    assert is_signed_in(browser)


def test_link_works_once(browse, person):
    link, second = link_of(person), browse("anonymous")
    browse("anonymous").get(link)

    answer = second.get(link)

    assert answer.status_code == 403
    assert "This link does not work any more" in answer.content.decode()
    assert not is_signed_in(second)


def test_link_is_refused_after_its_hour(browse, person, monkeypatch):
    link = link_of(person)
    monkeypatch.setattr("sesame.settings.MAX_AGE", 0)
    browser = browse("anonymous")

    assert browser.get(link).status_code == 403
    assert not is_signed_in(browser)


@pytest.mark.parametrize("query", ["", "?link=", "?link=nonsense", "?link=%00", "?link=%F0%9F%9A%80"])
def test_link_that_is_none_is_refused_with_a_page(browse, db, query):
    answer = browse("anonymous").get("/ui/sign-in/link" + query)

    assert answer.status_code == 403
    assert read(answer).inline == []


def test_preview_of_a_link_does_not_use_it_up(browse, person):
    link = link_of(person)

    assert browse("anonymous").head(link).status_code == 405
    assert browse("anonymous").get(link).status_code == 302


def test_link_of_an_inactive_person_is_refused(browse, person):
    link = link_of(person)
    person.is_active = False
    person.save()

    assert browse("anonymous").get(link).status_code == 403


def test_sign_out_ends_the_session(browse, viewer):
    browser = browse("viewer")

    answer = browser.post("/ui/sign-out")

    assert answer["Location"] == "/ui/sign-in"
    assert not is_signed_in(browser)


def test_sign_out_takes_post_alone(browse, viewer):
    browser = browse("viewer")

    assert browser.get("/ui/sign-out").status_code == 405
    assert is_signed_in(browser)


def test_password_is_set_by_someone_who_has_none(browse, operator):
    browser = browse("operator")

    answer = browser.post(reverse("password"), {"new_password1": PASSWORD, "new_password2": PASSWORD}, follow=True)

    assert flashes(answer) == ["Your password was changed."]
    assert fresh(operator).check_password(PASSWORD)


def test_password_change_asks_for_the_old_one(browse, viewer):
    viewer.set_password(PASSWORD)
    viewer.save()

    answer = browse("viewer").post(
        reverse("password"),
        {"old_password": "wrong", "new_password1": "new " + PASSWORD, "new_password2": "new " + PASSWORD},
    )

    assert "Your old password was entered incorrectly" in answer.content.decode()
    assert fresh(viewer).check_password(PASSWORD)


def test_weak_password_is_refused(browse, operator):
    browse("operator").post(reverse("password"), {"new_password1": "12345678", "new_password2": "12345678"})

    assert not fresh(operator).has_usable_password()
