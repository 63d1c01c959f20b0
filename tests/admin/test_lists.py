"""The admin's lists and pages: they work, read only, and ask the database equally often for many rows."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from artifacts.models import Artifact, LoggedModel, RegisteredModel, TagValue
from artifacts.registry.changing import create_model
from artifacts.registry.versions import create_version
from artifacts.services import tag_artifact
from projects.services import create_token
from runs.models import Attempt, Run, RunEvent
from tests.factories import everything, fresh, new_artifact, new_project, new_run, new_user

MODELS = {
    "runs_run": Run,
    "runs_attempt": Attempt,
    "runs_runevent": RunEvent,
    "artifacts_artifact": Artifact,
    "artifacts_registeredmodel": RegisteredModel,
    "artifacts_loggedmodel": LoggedModel,
}
READ_ONLY = list(MODELS)
LISTS = ["projects_project", "projects_apitoken", *READ_ONLY]


def fill(count):
    """Make rows of every kind, each with a project, person and run of its own."""
    for _ in range(count):
        user = new_user()
        create_token(user=user, name="a token")
        run = new_run(new_project(by=user), status="completed")
        checkpoint = new_artifact(run)
        tag_artifact(artifact=checkpoint, value=TagValue.CANDIDATE, notes="", by=user)
        model = create_model(name="a model", project=run.project, by=user)
        create_version(model=model, artifact=checkpoint, source="runs:/", by=user, actor="")
        LoggedModel.objects.create(project=run.project, run=run, name="a model")


def count_queries(desk, name):
    with CaptureQueriesContext(connection) as queries:
        assert desk.get(reverse(f"admin:{name}_changelist")).status_code == 200
    return len(queries)


@pytest.mark.parametrize("name", LISTS)
def test_list_asks_the_database_equally_often_for_3_and_30_rows(desk, name):
    fill(3)
    few = count_queries(desk, name)
    fill(27)

    assert count_queries(desk, name) == few


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("query", [{"q": "run"}, {"q": "\0"}, {"q": "مرحبا <b>"}])
def test_list_can_be_searched(desk, name, query):
    fill(1)

    assert desk.get(reverse(f"admin:{name}_changelist"), query).status_code == 200


@pytest.mark.parametrize(
    "query",
    [{"status__exact": "completed"}, {"recipe": "simulate"}, {"executor": "local"}, {"is_simulated__exact": "1"},
     {"created_at__gte": "2020-01-01 00:00:00+00:00"}],
)  # fmt: skip
def test_runs_can_be_filtered(desk, query):
    fill(1)

    answer = desk.get(reverse("admin:runs_run_changelist"), query)

    assert answer.context["cl"].result_count == 1


@pytest.mark.parametrize("name", READ_ONLY)
def test_row_of_the_machine_can_be_seen(desk, name):
    fill(1)
    row = MODELS[name].objects.last()

    assert desk.get(reverse(f"admin:{name}_change", args=[row.pk])).status_code == 200


@pytest.mark.parametrize("name", READ_ONLY)
@pytest.mark.parametrize("what", ["change", "delete"])
def test_row_of_the_machine_is_not_changed(desk, name, what):
    fill(1)
    row = MODELS[name].objects.last()
    before = everything()

    answer = desk.post(reverse(f"admin:{name}_{what}", args=[row.pk]), {"status": "failed", "post": "yes"})

    assert answer.status_code == 403
    assert everything() == before


@pytest.mark.parametrize("name", [*READ_ONLY, "projects_project"])
def test_nothing_is_added_here(desk, name):
    assert desk.get(reverse(f"admin:{name}_add")).status_code == 403


def test_digest_of_an_attempts_token_is_not_shown(desk):
    fill(1)
    attempt = Attempt.objects.get()

    page = desk.get(reverse("admin:runs_attempt_change", args=[attempt.pk])).content.decode()

    assert attempt.token_digest not in page


def test_header_names_the_product(desk):
    page = desk.get(reverse("admin:index")).content.decode()

    assert "trainhub" in page
    assert reverse("admin:installation") in page


def test_people_without_staff_rights_are_led_to_sign_in(client, viewer):
    client.force_login(viewer)

    assert client.get(reverse("admin:index")).status_code == 302


@pytest.mark.parametrize("name", LISTS)
def test_staff_without_the_permission_sees_no_list(helper_desk, name):
    assert helper_desk.get(reverse(f"admin:{name}_changelist")).status_code == 403


def test_run_page_of_the_admin_leads_to_the_runs_own(desk):
    fill(1)
    run = fresh(Run.objects.get())

    page = desk.get(reverse("admin:runs_run_change", args=[run.pk])).content.decode()

    assert reverse("run", args=[run.uid]) in page
