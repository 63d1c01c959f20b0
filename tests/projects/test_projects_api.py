"""Projects: list, create, look, change."""

import pytest

from projects.models import Membership, Project
from tests.factories import everything, fresh, new_run

pytestmark = pytest.mark.django_db
SEED = {
    "name": "Text Summarization",
    "description": "Summarize scientific articles",
    "objective": "Reduce reading time",
    "task_type": "summarization",
    "base_model": "llama-2-13b",
    "owner": "alice",
    "tags": ["research", "phase-1"],
    "default_hyperparameters": {"learning_rate": 3e-5, "batch_size": 16},
}


def test_create_gives_back_what_was_sent(as_stranger):
    answer = as_stranger.call("POST", "/projects", SEED)

    assert answer.status_code == 201
    assert {name: answer.json()[name] for name in SEED} == SEED
    assert answer.json()["status"] == "draft"
    assert answer.json()["runs"] == []
    assert answer.headers["Location"] == f"http://testserver/projects/{answer.json()['id']}"


def test_the_creator_becomes_the_admin(as_stranger, stranger):
    created = as_stranger.call("POST", "/projects", {"name": "mine"}).json()

    membership = Membership.objects.get(project__uid=created["id"])

    assert (membership.user, membership.role) == (stranger, "admin")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": None}, "name"),
        ({"name": ["x"]}, "name"),
        ({"name": {"a": 1}}, "name"),
        ({"name": True}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "x", "tags": "research"}, "tags"),
        ({"name": "x", "tags": [["a"]]}, "tags"),
        ({"name": "x", "tags": ["t"] * 51}, "tags"),
        ({"name": "x", "default_hyperparameters": [1]}, "default_hyperparameters"),
        ({"name": "x", "default_hyperparameters": {"": 1}}, "default_hyperparameters"),
        ({"name": "x", "default_hyperparameters": {"p": "x" * 10_001}}, "default_hyperparameters"),
        ({"name": "x", "default_hyperparameters": {f"p{n}": n for n in range(501)}}, "default_hyperparameters"),
        ({"name": "x", "default_recipe": "../etc"}, "default_recipe"),
        ({"name": "x", "status": "active"}, "status"),
        ({"name": "x", "id": "proj_1"}, "id"),
        ([], "non_field_errors"),
        ("text", "non_field_errors"),
    ],
)
def test_create_refuses_bad_input_and_stores_nothing(as_admin, body, field):
    before = everything()

    answer = as_admin.call("POST", "/projects", body)

    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert field in answer.json()
    assert everything() == before


def test_an_unknown_field_named_code_does_not_hide_the_code(as_admin):
    answer = as_admin.call("POST", "/projects", {"name": "x", "code": 1})

    assert answer.status_code == 400
    assert answer.json() == {"code": "invalid", "non_field_errors": ["code: This field is not known."]}


def test_the_list_is_a_bare_array_newest_first(as_admin, project):
    as_admin.call("POST", "/projects", {"name": "later"})

    listed = as_admin.call("GET", "/projects").json()

    assert [item["name"] for item in listed] == ["later", "Summaries"]
    assert listed[1].keys() >= {"id", "name", "status", "owner", "created_at"}


def test_the_list_shows_what_the_caller_is_a_member_of(as_stranger, project):
    assert [item["name"] for item in as_stranger.call("GET", "/projects").json()] == ["Elsewhere"]


def test_the_list_shows_an_operator_everything(as_operator, project, stranger):
    assert {item["name"] for item in as_operator.call("GET", "/projects").json()} == {"Elsewhere", "Summaries"}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("status=draft", ["Beta", "Alpha"]),
        ("status=active&status=archived", ["Gamma"]),
        ("owner=alice", ["Alpha"]),
        ("task_type=summarization", ["Beta"]),
        ("q=LLAMA", ["Alpha"]),
        ("q=nothing+like+it", []),
        ("order=name", ["Alpha", "Beta", "Gamma"]),
        ("order=-name", ["Gamma", "Beta", "Alpha"]),
        ("order=created_at", ["Alpha", "Beta", "Gamma"]),
        ("q=a&order=name", ["Alpha", "Beta", "Gamma"]),
    ],
)
def test_the_list_is_filtered_and_ordered(as_admin, query, names):
    as_admin.call("POST", "/projects", {"name": "Alpha", "owner": "alice", "base_model": "llama"})
    as_admin.call("POST", "/projects", {"name": "Beta", "task_type": "summarization"})
    as_admin.call("POST", "/projects", {"name": "Gamma"})
    new_run(Project.objects.get(name="Gamma"))

    assert [item["name"] for item in as_admin.call("GET", f"/projects?{query}").json()] == names


@pytest.mark.parametrize(
    "query", ["status=gone", "order=password", "owner__password=x", "page=2", "format=json", "q=%00", "order=-"]
)
def test_the_list_refuses_what_it_does_not_know(as_admin, project, query):
    answer = as_admin.call("GET", f"/projects?{query}")

    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert answer.json().keys() - {"code"} == {query.split("=")[0]}


def test_a_project_shows_its_runs_and_counts(as_viewer, project):
    new_run(project, status="cancelled", name="first")
    newest = new_run(project, name="second")

    shown = as_viewer.call("GET", f"/projects/{project.uid}").json()

    assert [item["name"] for item in shown["runs"]] == ["second", "first"]
    assert shown["runs"][0]["id"] == newest.uid
    assert shown["runs"][0]["project_id"] == project.uid
    assert (shown["runs_total"], shown["run_counts"]) == (2, {"cancelled": 1, "queued": 1})
    assert shown["status"] == "active"


def test_more_runs_than_are_embedded_are_counted_and_linked(as_viewer, project, monkeypatch):
    monkeypatch.setattr("projects.api.serializers.EMBEDDED_RUNS", 1)
    new_run(project)
    new_run(project)

    shown = as_viewer.call("GET", f"/projects/{project.uid}").json()

    assert (len(shown["runs"]), shown["runs_total"]) == (1, 2)
    assert as_viewer.call("GET", shown["runs_url"]).json()["total"] == 2


def test_times_are_utc_with_z(as_viewer, project):
    shown = as_viewer.call("GET", f"/projects/{project.uid}").json()

    assert shown["created_at"].endswith("Z")
    assert shown["created_at"] == project.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_patch_changes_what_is_sent_and_nothing_else(as_admin, project):
    answer = as_admin.call("PATCH", f"/projects/{project.uid}", {"objective": "faster", "tags": ["new"]})

    assert answer.status_code == 200
    assert (answer.json()["objective"], answer.json()["tags"], answer.json()["name"]) == (
        "faster",
        ["new"],
        "Summaries",
    )
    assert fresh(project).objective == "faster"


@pytest.mark.parametrize("body", [{"name": ""}, {"name": None}, {"status": "archived"}, {"tags": {}}, [], None])
def test_patch_refuses_bad_input_and_changes_nothing(as_admin, project, body):
    before = everything()

    answer = as_admin.call("PATCH", f"/projects/{project.uid}", orjson_null(body))

    assert answer.status_code == 400
    assert everything() == before


def orjson_null(body):
    """None as a body means none at all; the JSON null is sent as bytes."""
    return b"null" if body is None else body


def test_patch_does_not_undo_a_status_that_changed_meanwhile(project):
    from projects.services import update_project

    stale = fresh(project)
    new_run(project)

    update_project(project=stale, values={"objective": "faster"})

    assert (fresh(project).status, fresh(project).objective) == ("active", "faster")


@pytest.mark.parametrize("name", ["Ünïcødé 模型 🚂", "<script>alert(1)</script>", "a\nb", "' OR 1=1 --"])
def test_names_come_back_as_they_were_sent(as_admin, name):
    created = as_admin.call("POST", "/projects", {"name": name}).json()

    assert as_admin.call("GET", f"/projects/{created['id']}").json()["name"] == name


@pytest.mark.parametrize("value", [1e20, -1e300, 2**63, 1.5, 0.1, [1e25, {"deep": 1e30}], None, True, "text"])
def test_numbers_of_every_size_come_back_as_they_were_sent(as_admin, value):
    created = as_admin.call("POST", "/projects", {"name": "x", "default_hyperparameters": {"value": value}}).json()

    shown = as_admin.call("GET", f"/projects/{created['id']}").json()

    assert shown["default_hyperparameters"] == {"value": value}
