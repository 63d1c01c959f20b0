"""What operators do in the admin goes through the services, and refusals are told one by one."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from projects.models import ApiToken, ProjectStatus
from projects.services import create_token
from runs.models import Run
from tests.factories import Caller, everything, fresh, kinds, new_run, new_user


def act(desk, name, action, rows):
    path = reverse(f"admin:{name}_changelist")
    return desk.post(path, {"action": action, "_selected_action": [row.pk for row in rows]}, follow=True)


def told(answer):
    return [(message.level_tag, str(message)) for message in answer.context["messages"]]


def test_runs_are_cancelled_and_each_refusal_is_told(desk, project):
    waiting, ended = new_run(project, name="waiting"), new_run(project, name="ended", status="completed")

    answer = act(desk, "runs_run", "cancel", [waiting, ended])

    assert sorted(told(answer)) == [
        ("error", f"ended ({ended.uid}): A run that is completed cannot become cancelling."),
        ("success", f"waiting ({waiting.uid}) is cancelled."),
    ]
    assert (fresh(waiting).status, fresh(ended).status) == ("cancelled", "completed")


def test_cancel_by_an_operator_names_the_operator(desk, run, operator):
    act(desk, "runs_run", "cancel", [run])

    assert run.events.last().user == operator


def test_run_is_repeated(desk, project, operator):
    run = new_run(project, status="failed", model_parameters={"max_steps": 3})

    answer = act(desk, "runs_run", "repeat", [run])

    again = Run.objects.exclude(pk=run.pk).get()
    assert told(answer) == [("success", f"{run} was launched again as {again.uid}.")]
    assert (again.status, again.model_parameters, again.created_by) == ("queued", {"max_steps": 3}, operator)


def test_run_of_an_archived_project_is_not_repeated(desk, project):
    run = new_run(project, status="failed")
    act(desk, "projects_project", "archive", [project])

    answer = act(desk, "runs_run", "repeat", [run])

    assert told(answer)[0][0] == "error"
    assert Run.objects.count() == 1


@pytest.mark.parametrize("action", ["cancel", "repeat"])
def test_staff_who_may_only_look_cannot_act(run, action):
    user = new_user("lena", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_run"))
    desk = Client()
    desk.force_login(user)
    before = everything()

    act(desk, "runs_run", action, [run])

    assert everything() == before


def test_project_is_archived_and_restored(desk, project):
    act(desk, "projects_project", "archive", [project])
    archived = fresh(project).status
    act(desk, "projects_project", "restore", [project])

    assert (archived, fresh(project).status) == (ProjectStatus.ARCHIVED, ProjectStatus.DRAFT)


def test_project_with_a_run_going_on_is_not_archived(desk, project, run):
    answer = act(desk, "projects_project", "archive", [project])

    assert told(answer) == [("error", "Summaries: 1 runs have not ended; cancel them first.")]
    assert fresh(project).status == ProjectStatus.ACTIVE


def members_form(project, *rows, initial=1):
    """Return what the project's page posts for its members."""
    posted = {"memberships-TOTAL_FORMS": len(rows), "memberships-INITIAL_FORMS": initial}
    for number, row in enumerate(rows):
        posted.update({f"memberships-{number}-{name}": value for name, value in row.items()})
        posted[f"memberships-{number}-project"] = project.pk
    return posted


def save_members(desk, project, *rows, initial=1):
    path = reverse("admin:projects_project_change", args=[project.pk])
    return desk.post(path, members_form(project, *rows, initial=initial), follow=True)


def test_member_is_added_beside_the_project(desk, project, admin):
    nora, first = new_user("nora"), project.memberships.get()

    save_members(desk, project, {"id": first.pk, "role": "admin"}, {"user": nora.pk, "role": "editor"})

    assert project.memberships.get(user=nora).role == "editor"


def test_role_is_changed_beside_the_project(desk, project, viewer):
    first, second = project.memberships.order_by("id")

    save_members(desk, project, {"id": first.pk, "role": "admin"}, {"id": second.pk, "role": "editor"}, initial=2)

    assert fresh(second).role == "editor"


def test_member_is_removed_beside_the_project(desk, project, viewer):
    first, second = project.memberships.order_by("id")
    gone = {"id": second.pk, "role": "viewer", "DELETE": "on"}

    save_members(desk, project, {"id": first.pk, "role": "admin"}, gone, initial=2)

    assert not project.memberships.filter(user=viewer).exists()


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"role": "admin", "DELETE": "on"}])
def test_last_admin_stays(desk, project, change):
    only = project.memberships.get()

    answer = save_members(desk, project, {"id": only.pk, **change})

    assert ("error", "A project keeps at least one admin; name another one first.") in told(answer)
    assert fresh(only).role == "admin"


def test_project_page_writes_no_setting(desk, project):
    only = project.memberships.get()

    save_members(desk, project, {"id": only.pk, "role": "admin", "name": "Other"})

    assert project.history.count() == 1


def test_history_of_a_project_can_be_seen(desk, project):
    path = reverse("admin:projects_project_history", args=[project.pk])

    assert desk.get(path).status_code == 200


@pytest.fixture
def token(viewer):
    return create_token(user=viewer, name="laptop")


def test_token_is_listed_without_secret_or_digest(desk, token):
    page = desk.get(reverse("admin:projects_apitoken_changelist")).content.decode()

    assert "laptop" in page
    assert token[0].digest not in page
    assert token[1] not in page


def test_token_is_revoked_after_a_question(desk, token):
    path = reverse("admin:projects_apitoken_revoke", args=[token[0].token_key])

    question = desk.get(path)
    still_there = ApiToken.objects.exists()
    desk.post(path)

    assert (question.status_code, still_there) == (200, True)
    assert Caller(token=token[1]).get("/projects").status_code == 401


def test_token_is_not_revoked_by_staff_without_the_permission(helper_desk, token):
    path = reverse("admin:projects_apitoken_revoke", args=[token[0].token_key])

    assert helper_desk.post(path).status_code == 404
    assert ApiToken.objects.exists()


def test_deleting_a_person_shows_no_digest(desk, viewer, token):
    page = desk.get(reverse("admin:auth_user_delete", args=[viewer.pk])).content.decode()

    assert "laptop" in page
    assert token[0].digest not in page


def test_cancel_leaves_one_event(desk, run):
    act(desk, "runs_run", "cancel", [run])
    act(desk, "runs_run", "cancel", [run])

    assert kinds(run).count("cancelled") == 1
