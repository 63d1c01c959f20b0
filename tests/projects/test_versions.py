"""The history of a project's settings."""

import pytest

pytestmark = pytest.mark.django_db


@pytest.fixture
def versions(as_admin, project):
    return lambda: as_admin.call("GET", f"/projects/{project.uid}/versions").json()


def test_a_new_project_has_one_version(versions):
    only = versions()

    assert [(item["version"], item["change"], item["changes"]) for item in only] == [(1, "created", {})]


def test_a_change_makes_a_version_that_says_what_changed_and_who_did_it(as_admin, project, versions):
    as_admin.call("PATCH", f"/projects/{project.uid}", {"objective": "faster", "tags": ["a"]})

    newest = versions()[0]

    assert (newest["version"], newest["change"], newest["changed_by"]) == (2, "changed", "ada")
    assert newest["changes"] == {"objective": {"from": "", "to": "faster"}, "tags": {"from": [], "to": ["a"]}}
    assert newest["changed_at"].endswith("Z")


def test_versions_are_newest_first(as_admin, project, versions):
    as_admin.call("PATCH", f"/projects/{project.uid}", {"name": "second"})
    as_admin.call("PATCH", f"/projects/{project.uid}", {"name": "third"})

    shown = [(item["version"], item["changes"].get("name")) for item in versions()]

    assert shown == [(3, {"from": "second", "to": "third"}), (2, {"from": "Summaries", "to": "second"}), (1, None)]


@pytest.mark.parametrize("body", [{}, {"name": "Summaries"}])
def test_a_change_that_changes_nothing_makes_no_version(as_admin, project, versions, body):
    answer = as_admin.call("PATCH", f"/projects/{project.uid}", body)

    assert answer.status_code == 200
    assert len(versions()) == 1


def test_archiving_is_a_version(as_admin, project, versions):
    as_admin.call("POST", f"/projects/{project.uid}/archive")

    assert versions()[0]["changes"] == {"status": {"from": "draft", "to": "archived"}}


def test_the_name_of_someone_who_is_gone_is_null(as_admin, as_operator, project, admin):
    as_admin.call("PATCH", f"/projects/{project.uid}", {"name": "other"})
    admin.delete()

    assert as_operator.call("GET", f"/projects/{project.uid}/versions").json()[0]["changed_by"] is None
