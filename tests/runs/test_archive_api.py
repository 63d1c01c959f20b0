"""Archiving runs: out of the lists, and back."""

import pytest

from projects.services import archive_project
from runs.archiving import archive_run
from tests.factories import everything, fresh, kinds, new_run, run_path

pytestmark = pytest.mark.django_db


@pytest.fixture
def ended(project):
    return new_run(project, name="ended", status="completed")


@pytest.fixture
def archived(ended, admin):
    return archive_run(run=ended, by=admin)


def names(caller, path, **query):
    answer = caller.get(path, query)
    assert answer.status_code == 200
    assert answer.json()["total"] == len(answer.json()["items"])
    return [item["name"] for item in answer.json()["items"]]


def test_an_archived_run_says_since_when_and_the_timeline_by_whom(as_editor, ended):
    answer = as_editor.call("POST", f"{run_path(ended)}/archive")

    assert (answer.status_code, answer.json()["archived_at"] is not None) == (200, True)
    assert answer.json()["archived_at"] == as_editor.call("GET", run_path(ended)).json()["archived_at"]
    assert list(ended.events.values_list("kind", "actor"))[-1] == ("archived", "edith")


@pytest.mark.parametrize(
    ("archived_is", "expected"),
    [({}, ["other"]), ({"archived": "true"}, ["ended"]),
     ({"archived": "all"}, ["other", "ended"])],
)  # fmt: skip
@pytest.mark.parametrize("more", [{}, {"order": "metrics.loss"}, {"order": "-name"}, {"status": "completed"}])
@pytest.mark.parametrize("path", ["/runs", "/projects/{}/runs"])
def test_lists_leave_archived_runs_out_unless_asked(as_viewer, project, archived, path, archived_is, more, expected):
    new_run(project, name="other", status="completed")

    found = names(as_viewer, path.format(project.uid), **archived_is, **more)

    assert sorted(found) == sorted(expected)


def test_without_an_archived_run_the_archive_is_empty(as_viewer, ended):
    assert names(as_viewer, "/runs", archived="true") == []
    assert names(as_viewer, "/runs") == ["ended"]


def test_a_word_that_is_no_choice_is_400(as_viewer, archived):
    answer = as_viewer.get("/runs", {"archived": "yes"})

    assert (answer.status_code, set(answer.json())) == (400, {"code", "archived"})


def test_a_projects_own_counts_leave_archived_runs_out(as_viewer, project, archived):
    new_run(project, name="other", status="completed")

    shown = as_viewer.call("GET", f"/projects/{project.uid}").json()

    assert ([run["name"] for run in shown["runs"]], shown["runs_total"]) == (["other"], 1)
    assert shown["run_counts"] == {"completed": 1}


def test_archiving_twice_leaves_one_event(as_editor, ended):
    first = as_editor.call("POST", f"{run_path(ended)}/archive").json()

    again = as_editor.call("POST", f"{run_path(ended)}/archive")

    assert (again.status_code, again.json()["archived_at"]) == (200, first["archived_at"])
    assert kinds(ended).count("archived") == 1


@pytest.mark.parametrize("status", ["queued", "starting", "running", "cancelling"])
def test_a_run_that_has_not_ended_is_not_archived(as_editor, project, status):
    run = new_run(project, status=status)
    before = everything()

    answer = as_editor.call("POST", f"{run_path(run)}/archive")

    assert answer.status_code == 409
    assert answer.json().items() >= {"code": "illegal_transition", "status": status}.items()
    assert everything() == before


def test_a_restored_run_is_listed_again(as_editor, archived):
    answer = as_editor.call("POST", f"{run_path(archived)}/restore")

    assert (answer.status_code, answer.json()["archived_at"]) == (200, None)
    assert names(as_editor, "/runs") == ["ended"]
    assert kinds(archived)[-2:] == ["archived", "restored"]


def test_a_run_that_is_not_archived_is_not_restored(as_editor, ended):
    assert as_editor.call("POST", f"{run_path(ended)}/restore").status_code == 409
    assert "restored" not in kinds(ended)


@pytest.mark.parametrize("action", ["archive", "restore"])
def test_nothing_moves_in_an_archived_project(as_editor, project, archived, action):
    archive_project(project=project)
    before = everything()

    answer = as_editor.call("POST", f"{run_path(archived)}/{action}")

    assert (answer.status_code, answer.json()["status"]) == (409, "archived")
    assert everything() == before


def test_an_archived_run_can_be_read_and_deleted(as_admin, archived):
    assert as_admin.call("GET", run_path(archived)).status_code == 200
    assert as_admin.call("DELETE", run_path(archived)).status_code == 204
    assert fresh(archived).deleted_at is not None
    assert names(as_admin, "/runs", archived="all") == []
