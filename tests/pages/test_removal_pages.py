"""Pages of retention and deletion: the settings, why a log is empty, and what would go with a run."""

import re

import pytest
from django.urls import reverse

from artifacts.models import TagValue
from artifacts.services import tag_artifact
from projects.services import archive_project
from runs.models import RunDeletion
from runs.retention import carry_out
from tests.factories import everything, fresh, new_artifact, new_run
from tests.pages.reading import flashes, text_of
from tests.runs.retained import ended_run, keep_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project):
    run = ended_run(project, days=6, name="the run")
    new_artifact(run)
    return run


def page(browse, name, run, role="admin"):
    return text_of(browse(role).get(reverse(name, args=[run.uid])))


@pytest.mark.parametrize(("typed", "kept"), [("30", 30), ("", None)])
def test_the_days_are_set_and_emptied_on_the_form(browse, project, typed, kept):
    keep_for(project, log=7, metrics=7)
    path = reverse("project-edit", args=[project.uid])

    browse("admin").post(path, {"name": "x", "log_retention_days": typed, "metric_retention_days": typed})

    assert (fresh(project).log_retention_days, fresh(project).metric_retention_days) == (kept, kept)


@pytest.mark.parametrize("typed", ["0", "-1", "36501", "soon", "1.5"])
def test_days_that_are_none_are_told_and_nothing_is_kept(browse, project, typed):
    browser, before = browse("admin"), everything()

    answer = browser.post(reverse("project-edit", args=[project.uid]), {"name": "x", "log_retention_days": typed})

    assert answer.status_code == 400
    assert {row["log_retention_days"] for row in everything()["Project"]} == {None}
    assert everything()["HistoricalProject"] == before["HistoricalProject"]


def test_the_form_shows_the_days_and_the_project_says_them(browse, project):
    keep_for(project, log=31)

    form = text_of(browse("admin").get(reverse("project-edit", args=[project.uid])))

    assert 'value="31"' in form
    assert "31 days after the end of a run" in text_of(browse("viewer").get(reverse("project", args=[project.uid])))


@pytest.mark.parametrize("name", ["run", "run-log", "run-log-tail"])
def test_the_pages_say_why_the_log_is_empty(browse, project, run, name):
    keep_for(project, log=5)
    carry_out(limit=10)

    removed_at = f"{fresh(run).log_removed_at:%Y-%m-%d %H:%M:%S} UTC"
    assert re.search(rf"The log was removed <time [^>]+>{removed_at}</time>", page(browse, name, run))


@pytest.mark.parametrize("name", ["run", "run-log"])
def test_a_log_is_offered_for_download_until_it_was_removed(browse, project, run, name):
    download = reverse("api-run-logs-download", args=[project.uid, run.uid])
    before = page(browse, name, run)
    keep_for(project, log=5)
    carry_out(limit=10)

    assert (download in before, download in page(browse, name, run)) == (True, False)


def test_the_page_says_why_there_is_no_chart_and_shows_the_newest_values(browse, project, run):
    keep_for(project, metrics=5)
    carry_out(limit=10)

    shown = page(browse, "run", run)

    assert "The metric history was removed" in shown
    assert "<polyline" not in shown
    assert "<bdi>loss</bdi>" in shown


@pytest.mark.parametrize(
    ("role", "expected"), [("admin", True), ("operator", True), ("editor", False), ("viewer", False)]
)
def test_the_button_is_for_admins(browse, run, role, expected):
    assert (reverse("run-delete", args=[run.uid]) in page(browse, "run", run, role)) is expected


def test_a_run_that_goes_on_has_no_button(browse, project):
    run = new_run(project)

    assert reverse("run-delete", args=[run.uid]) not in page(browse, "run", run)
    assert "only a run that has ended can be deleted" in page(browse, "run-delete", run)


def test_the_question_names_what_goes(browse, run):
    shown = page(browse, "run-delete", run)

    assert "3 lines, 18 B of text" in shown
    assert "4 points" in shown
    assert "1, 808 B" in shown


def test_deleting_leads_to_the_project(browse, run, admin):
    answer = browse("admin").post(reverse("run-delete", args=[run.uid]), follow=True)

    assert answer.redirect_chain == [(reverse("project", args=[run.project.uid]), 302)]
    assert flashes(answer) == ["The run the run was deleted."]
    assert RunDeletion.objects.get().user == admin


def test_what_is_in_the_way_is_named_and_there_is_no_button(browse, run, admin):
    tag_artifact(artifact=run.artifacts.get(), value=TagValue.RELEASE, notes="", by=admin)

    shown = page(browse, "run-delete", run)

    assert run.artifacts.get().uid in shown
    assert ">Delete the run</button>" not in shown


def test_a_run_of_an_archived_project_is_not_offered_for_deletion(browse, run):
    archive_project(project=run.project)

    shown = page(browse, "run-delete", run)

    assert "It cannot be deleted now. <bdi>The project is archived; restore it before deleting runs.</bdi>" in shown
    assert ">Delete the run</button>" not in shown


def test_a_refused_deletion_leads_back_to_the_run(browse, run, admin):
    tag_artifact(artifact=run.artifacts.get(), value=TagValue.RELEASE, notes="", by=admin)

    answer = browse("admin").post(reverse("run-delete", args=[run.uid]), follow=True)

    assert answer.redirect_chain == [(reverse("run", args=[run.uid]), 302)]
    assert "tagged release or candidate" in flashes(answer)[0]
    assert fresh(run).deleted_at is None
