"""The project's default executor, and the limits that operators set."""

import pytest

from projects.services import update_project
from tests.factories import Caller, add_member, everything, fresh
from tests.runs.engines import Cluster, Machine, install

pytestmark = pytest.mark.django_db
LIMITS = {"max_running_runs": 2, "max_gpus": 8}


@pytest.fixture(autouse=True)
def engines(monkeypatch):
    return install(monkeypatch, Machine(), Cluster())


def path(project):
    return f"/projects/{project.uid}"


def test_everybody_sees_limits_and_default_executor(as_viewer, project, operator):
    update_project(project=project, values={**LIMITS, "default_executor": "cluster"}, by=operator)

    shown = as_viewer.call("GET", path(project)).json()

    assert (shown["max_running_runs"], shown["max_gpus"], shown["default_executor"]) == (2, 8, "cluster")


def test_operators_set_limits_and_the_history_shows_them(as_operator, project):
    answer = as_operator.call("PATCH", path(project), LIMITS)

    assert (answer.status_code, answer.json()["max_running_runs"], answer.json()["max_gpus"]) == (200, 2, 8)
    newest = as_operator.call("GET", f"{path(project)}/versions").json()[0]["changes"]
    assert newest == {name: {"from": None, "to": value} for name, value in LIMITS.items()}


@pytest.mark.parametrize("limit", LIMITS)
def test_an_admin_of_the_project_sets_no_limit(as_admin, project, limit):
    before = everything()

    answer = as_admin.call("PATCH", path(project), {limit: 5, "objective": "more"})

    assert (answer.status_code, answer.json()["detail"]) == (403, f"Operators alone set {limit}.")
    assert everything() == before


def test_an_admin_may_send_a_limit_as_it_is(as_admin, project, operator):
    update_project(project=project, values=LIMITS, by=operator)

    assert as_admin.call("PATCH", path(project), {**LIMITS, "objective": "more"}).status_code == 200


def test_a_new_project_has_no_limits_but_an_operators(as_admin, as_operator):
    assert as_admin.call("POST", "/projects", {"name": "x", **LIMITS}).status_code == 403
    assert as_admin.call("POST", "/projects", {"name": "x", "max_gpus": None}).status_code == 201
    assert as_operator.call("POST", "/projects", {"name": "x", **LIMITS}).json()["max_gpus"] == 8


@pytest.mark.parametrize("value", [-1, 1_000_001, "many", 1.5, True, []])
def test_a_limit_is_a_whole_number(as_operator, project, value):
    answer = as_operator.call("PATCH", path(project), {"max_gpus": value})

    assert (answer.status_code, list(answer.json())) == (400, ["code", "max_gpus"])


def test_an_admin_chooses_the_default_executor(as_admin, project):
    assert (
        as_admin.call("PATCH", path(project), {"default_executor": "cluster"}).json()["default_executor"] == "cluster"
    )
    assert as_admin.call("PATCH", path(project), {"default_executor": ""}).json()["default_executor"] == ""


def test_a_default_executor_that_is_not_there_is_refused(as_admin, project):
    answer = as_admin.call("PATCH", path(project), {"default_executor": "moon"})

    assert answer.status_code == 400
    assert answer.json()["default_executor"] == ["There is no such executor; there are cluster, local."]


def test_an_editor_changes_neither(as_editor, project):
    assert as_editor.call("PATCH", path(project), {"default_executor": "cluster"}).status_code == 403


# --- The form -------------------------------------------------------------------------------------
def typed(**changes):
    return {"name": "Summaries", **changes}


def page(user):
    caller = Caller()
    caller.force_login(user)
    return caller


def test_operators_set_limits_in_the_form(operator, project):
    answer = page(operator).post(f"/ui/projects/{project.uid}/edit", typed(max_running_runs="3", max_gpus=""))

    assert answer.status_code == 302
    assert (fresh(project).max_running_runs, fresh(project).max_gpus) == (3, None)


def test_an_admin_sees_the_limits_and_cannot_change_them(admin, project, operator):
    update_project(project=project, values=LIMITS, by=operator)

    shown = page(admin).get(f"/ui/projects/{project.uid}/edit").content.decode()
    answer = page(admin).post(f"/ui/projects/{project.uid}/edit", typed(max_gpus="99", default_executor="cluster"))

    assert "Set by the hub&#x27;s operators." in shown
    assert (answer.status_code, fresh(project).max_gpus, fresh(project).default_executor) == (302, 8, "cluster")


def test_a_default_executor_that_is_gone_can_be_kept_and_says_so(admin, project, engines):
    update_project(project=project, values={"default_executor": "cluster"})
    del engines["cluster"]

    shown = page(admin).get(f"/ui/projects/{project.uid}/edit").content.decode()
    answer = page(admin).post(f"/ui/projects/{project.uid}/edit", typed(default_executor="cluster", objective="x"))

    assert "cluster (not on this hub any more)" in shown
    assert (answer.status_code, fresh(project).objective) == (302, "x")


def test_the_projects_page_names_limits_and_executor(viewer, project, operator):
    update_project(project=project, values={**LIMITS, "default_executor": "cluster"}, by=operator)

    shown = page(viewer).get(f"/ui/projects/{project.uid}").content.decode()

    assert "<dt>Runs at once</dt><dd>at most 2</dd>" in shown
    assert "<dt>Executor</dt><dd>cluster</dd>" in shown


def test_somebody_without_a_part_in_the_project_changes_nothing(stranger, project):
    user = add_member(project, "eve", "viewer")

    assert page(stranger).post(f"/ui/projects/{project.uid}/edit", typed()).status_code == 404
    assert page(user).post(f"/ui/projects/{project.uid}/edit", typed()).status_code == 403
