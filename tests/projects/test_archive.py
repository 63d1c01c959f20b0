"""Archiving a project and taking it out again."""

import pytest

from projects.services import archive_project
from tests.factories import everything, fresh, new_artifact, new_run, run_path

pytestmark = pytest.mark.django_db


@pytest.fixture
def archived(project):
    return archive_project(project=project)


def test_archive_and_restore_a_project_without_runs(as_admin, project):
    archived = as_admin.call("POST", f"/projects/{project.uid}/archive")
    restored = as_admin.call("POST", f"/projects/{project.uid}/restore")

    assert (archived.status_code, archived.json()["status"]) == (200, "archived")
    assert (restored.status_code, restored.json()["status"]) == (200, "draft")


def test_a_restored_project_with_runs_is_active(as_admin, project):
    new_run(project, status="completed")
    as_admin.call("POST", f"/projects/{project.uid}/archive")

    assert as_admin.call("POST", f"/projects/{project.uid}/restore").json()["status"] == "active"


@pytest.mark.parametrize("status", ["queued", "starting", "running", "cancelling"])
def test_a_project_with_a_run_that_goes_on_is_not_archived(as_admin, project, status):
    new_run(project, status=status)
    before = everything()

    answer = as_admin.call("POST", f"/projects/{project.uid}/archive")

    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (409, "conflict", "active")
    assert everything() == before


def test_archive_twice_makes_one_version(as_admin, project, archived):
    answer = as_admin.call("POST", f"/projects/{project.uid}/archive")

    assert (answer.status_code, answer.json()["status"]) == (200, "archived")
    assert len(as_admin.call("GET", f"/projects/{project.uid}/versions").json()) == 2


def test_restore_of_a_project_that_is_not_archived_is_refused(as_admin, project):
    before = everything()

    answer = as_admin.call("POST", f"/projects/{project.uid}/restore")

    assert (answer.status_code, answer.json()["status"]) == (409, "draft")
    assert everything() == before


@pytest.mark.parametrize(
    ("method", "path", "body"), [("PATCH", "", {"name": "other"}), ("POST", "/runs", {"name": "a run"})]
)
def test_an_archived_project_is_neither_changed_nor_used(as_admin, project, archived, method, path, body):
    before = everything()

    answer = as_admin.call(method, f"/projects/{project.uid}{path}", body)

    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (409, "conflict", "archived")
    assert everything() == before


@pytest.mark.parametrize("action", ["repeat", "resume"])
def test_a_run_of_an_archived_project_is_not_launched_again(as_admin, project, action):
    checkpoint = new_artifact(new_run(project, status="completed"))
    archive_project(project=project)
    query = f"?source_artifact_id={checkpoint.uid}" if action == "resume" else ""

    answer = as_admin.call("POST", f"{run_path(checkpoint.run)}/{action}{query}", {})

    assert answer.status_code == 409
    assert project.runs.count() == 1


def test_an_archived_project_can_be_read(as_viewer, project, archived):
    assert as_viewer.call("GET", f"/projects/{project.uid}").json()["status"] == "archived"
    assert [item["status"] for item in as_viewer.call("GET", "/projects?status=archived").json()] == ["archived"]
    assert fresh(project).status == "archived"
