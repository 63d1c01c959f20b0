"""Members of a project and their roles."""

import pytest

from projects.models import Membership, Role
from tests.factories import Caller, add_member, at_once, everything, new_project, new_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def members(project):
    return f"/projects/{project.uid}/members"


def test_members_are_listed_by_name(as_viewer, editor, members):
    shown = as_viewer.call("GET", members).json()

    assert [(item["username"], item["role"]) for item in shown] == [
        ("ada", "admin"),
        ("edith", "editor"),
        ("vera", "viewer"),
    ]


def test_a_person_becomes_a_member_and_sees_the_project(as_admin, as_stranger, project, members):
    answer = as_admin.call("POST", members, {"username": "sten", "role": "viewer"})

    assert (answer.status_code, answer.json()["role"]) == (200, "viewer")
    assert as_stranger.call("GET", f"/projects/{project.uid}").status_code == 200


def test_setting_a_role_again_replaces_it(as_admin, viewer, project, members):
    as_admin.call("POST", members, {"username": "vera", "role": "editor"})

    assert list(project.memberships.filter(user=viewer).values_list("role", flat=True)) == ["editor"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "nobody", "role": "viewer"}, "username"),
        ({"username": "gone", "role": "viewer"}, "username"),
        ({"username": "vera", "role": "owner"}, "role"),
        ({"username": "vera", "role": ["viewer"]}, "role"),
        ({"username": "vera"}, "role"),
        ({"role": "viewer"}, "username"),
        ({"username": "x" * 151, "role": "viewer"}, "username"),
        ({"username": "vera", "role": "viewer", "is_staff": True}, "is_staff"),
    ],
)
def test_bad_input_changes_no_member(as_admin, viewer, members, body, field):
    new_user("gone", is_active=False)
    before = everything()

    answer = as_admin.call("POST", members, body)

    assert answer.status_code == 400
    assert field in answer.json()
    assert everything() == before


def test_a_member_is_removed(as_admin, as_viewer, project, members):
    answer = as_admin.call("DELETE", f"{members}/vera")

    assert (answer.status_code, answer.content) == (204, b"")
    assert as_viewer.call("GET", f"/projects/{project.uid}").status_code == 404


@pytest.mark.parametrize("name", ["nobody", "sten"])
def test_who_is_no_member_cannot_be_removed(as_admin, stranger, members, name):
    assert as_admin.call("DELETE", f"{members}/{name}").status_code == 404


def test_the_last_admin_is_not_removed(as_admin, members):
    before = everything()

    answer = as_admin.call("DELETE", f"{members}/ada")

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert everything() == before


def test_the_last_admin_keeps_the_role(as_admin, members):
    before = everything()

    answer = as_admin.call("POST", members, {"username": "ada", "role": "viewer"})

    assert answer.status_code == 409
    assert everything() == before


def test_one_of_two_admins_may_go(as_admin, project, members):
    add_member(project, "second", Role.ADMIN)

    assert as_admin.call("DELETE", f"{members}/ada").status_code == 204
    assert as_admin.call("GET", members).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_remove_each_other_at_once_leave_one():
    ada, ben = new_user("ada"), new_user("ben")
    project = new_project(by=ada)
    Membership.objects.create(project=project, user=ben, role=Role.ADMIN)
    callers = {"ben": Caller(ada), "ada": Caller(ben)}

    answers = at_once(
        lambda: callers["ben"].call("DELETE", f"/projects/{project.uid}/members/ben"),
        lambda: callers["ada"].call("DELETE", f"/projects/{project.uid}/members/ada"),
    )

    assert 204 in {answer.status_code for answer in answers}
    assert project.memberships.filter(role=Role.ADMIN).count() == 1
