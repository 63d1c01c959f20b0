"""The home page: running, waiting, ended since the last visit, and what somebody must see to."""

import gzip
import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from projects.models import Role, Visit
from runs.models import Attempt, Run
from tests.factories import new_artifact, new_attempt, new_project, new_run
from tests.pages.reading import read, text_of
from tests.runs.telemetry.builders import columns, show_metrics

POLL = {"HX-Request": "true"}


def overview(browser, **options):
    return browser.get("/", **options).context["overview"]


def last_looked(user, **ago):
    """Let the person have looked last that long ago."""
    Visit.objects.update_or_create(user=user, defaults={"looked_at": timezone.now() - timedelta(**ago)})


def ended_ago(run, **ago):
    Run.objects.filter(pk=run.pk).update(completed_at=timezone.now() - timedelta(**ago))


# --- The first run --------------------------------------------------------------------------------
def test_a_newcomer_is_led_to_the_first_project(browse, operator):
    text = text_of(browse("operator").get("/"))

    assert "Your first training in three steps" in text
    assert f'href="{reverse("project-new")}"' in text


def test_who_has_a_project_is_led_to_the_first_run(browse, project, admin):
    text = text_of(browse("admin").get("/"))

    assert "Your first training in three steps" in text
    assert f'href="{reverse("run-launch", args=[project.uid])}"' in text


def test_who_has_run_before_is_led_to_the_next_run(browse, project, admin):
    ended_ago(new_run(project, status="completed"), days=30)

    text = text_of(browse("admin").get("/"))

    assert "Nothing is running" in text
    assert "three steps" not in text
    assert f'href="{reverse("run-launch", args=[project.uid])}"' in text


def test_nobody_is_led_to_a_run_in_a_project_that_they_may_only_see(browse, project, admin, viewer):
    other = new_project(by=admin, name="Other")

    text = text_of(browse("viewer").get("/"))

    assert "Launch a run in" not in text
    other.memberships.create(user=viewer, role=Role.EDITOR)
    assert "Launch a run in <bdi>Other</bdi>" in text_of(browse("viewer").get("/"))


@pytest.mark.parametrize(("role", "is_led"), [("viewer", False), ("editor", True), ("operator", True)])
def test_the_next_run_is_offered_to_who_may_launch_it(browse, project, role, is_led):
    ended_ago(new_run(project, status="completed"), days=30)

    text = text_of(browse(role).get("/"))

    assert "Nothing is running" in text
    assert ("Launch a run in <bdi>Summaries</bdi>" in text) is is_led


def test_the_first_steps_are_gone_while_something_runs(browse, project, admin):
    new_run(project, status="running")

    assert "Nothing is running" not in text_of(browse("admin").get("/"))


# --- Running --------------------------------------------------------------------------------------
def test_running_run_shows_progress_loss_and_how_it_went(browse, project, editor):
    attempt = new_attempt(project=project)
    Run.objects.filter(pk=attempt.run_id).update(progress=0.25)
    show_metrics(attempt=attempt, columns={"loss": columns((5, 1, 4.0), (6, 1, 2.0), (7, 1, 1.5))})

    text = text_of(browse().get("/"))

    assert "25.0%" in text
    assert "1.5 <span" in text
    assert "step 7" in text
    assert 'aria-label="loss from 4 to 1.5"' in text
    assert 'points="0.0,2.0 60.0,22.8 120.0,28.0"' in text
    assert "simulated" in text


def test_running_run_shows_the_time_left(browse, project, editor):
    attempt = new_attempt(project=project)
    Run.objects.filter(pk=attempt.run_id).update(progress=0.25)
    began = timezone.now() - timedelta(minutes=10)
    Attempt.objects.filter(pk=attempt.pk).update(started_at=began, heartbeat_at=timezone.now())

    (row,) = overview(browse()).running.rows

    assert row.remaining_seconds == pytest.approx(1800, abs=10)
    assert " left" in text_of(browse().get("/"))


def test_running_run_shows_what_its_gpus_do(browse, project, editor):
    attempt = new_attempt(project=project)
    values = {"gpu.0.utilization": 0.9, "gpu.1.utilization": 0.7, "gpu.0.memory_bytes": 2e9, "gpu.1.memory_bytes": 1e9}
    show_metrics(attempt=attempt, columns={f"system/{key}": columns((1, 1, value)) for key, value in values.items()})

    text = text_of(browse().get("/"))

    assert "80.0%" in text
    assert "3 GB on 2" in text


def test_silent_run_is_marked_and_needs_somebody(browse, project, editor):
    attempt = new_attempt(project=project)
    Attempt.objects.filter(pk=attempt.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=3))

    seen = overview(browse())
    text = text_of(browse().get("/"))

    assert seen.running.rows[0].is_unreachable
    assert [one.pk for one in seen.needs.unreachable] == [attempt.pk]
    assert "the run may still be training there" in text
    assert re.search(r"3 min( \d+ s)? ago", text)


def test_silent_run_of_others_is_not_told(browse, project, stranger):
    attempt = new_attempt(project=project)
    Attempt.objects.filter(pk=attempt.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=3))

    assert not overview(browse("stranger")).needs


# --- Waiting --------------------------------------------------------------------------------------
def test_waiting_run_shows_its_reason(browse, run, editor):
    Run.objects.filter(pk=run.pk).update(waiting_reason="Needs 2 × 8 GPUs, this executor has 0.")

    assert "Needs 2 × 8 GPUs" in text_of(browse().get("/"))


def test_place_in_the_queue_counts_the_runs_of_others(browse, project, editor, stranger):
    new_run(new_project(), name="of others")
    new_run(project, name="later")
    new_run(project, name="first of all", priority=5)

    waiting = overview(browse()).waiting

    assert [(run.name, run.place_in_queue) for run in waiting.rows] == [("first of all", 1), ("later", 3)]


# --- Ended since the last visit -------------------------------------------------------------------
def test_ended_run_shows_its_outcome(browse, project, editor):
    new_run(project, status="failed")

    assert "The trainer ended with an error. Exit code 1." in text_of(browse().get("/"))


def test_what_ended_before_the_last_visit_is_no_news(browse, project, editor):
    old, new = new_run(project, status="completed"), new_run(project, status="completed")
    ended_ago(old, hours=9)
    last_looked(editor, hours=8)

    seen = overview(browse())

    assert [run.pk for run in seen.ended.rows] == [new.pk]
    assert seen.is_since_visit


def test_reloading_and_polling_do_not_eat_the_news(browse, project, editor):
    new_run(project, status="completed")
    last_looked(editor, hours=8)
    browser = browse()

    seen = [overview(browser).ended.total, overview(browser, headers=POLL).ended.total, overview(browser).ended.total]

    assert seen == [1, 1, 1]


def test_a_poll_is_no_look(browse, run, editor):
    browse().get("/", headers=POLL)

    assert not Visit.objects.exists()


def test_news_are_never_older_than_a_week(browse, project, editor):
    ended_ago(new_run(project, status="completed"), days=8)
    last_looked(editor, days=40)

    seen = overview(browse())

    assert seen.ended.total == 0
    assert not seen.is_since_visit


# --- What needs somebody --------------------------------------------------------------------------
def test_failed_run_needs_somebody(browse, project, editor):
    run = new_run(project, status="failed")

    seen = overview(browse())

    assert [one.pk for one in seen.needs.failed] == [run.pk]
    assert (seen.failed_total, seen.ended.total) == (1, 1)


def test_damaged_checkpoint_needs_somebody(browse, project, editor):
    artifact = new_artifact(new_run(project, status="completed"), state="corrupt")

    text = text_of(browse().get("/"))

    assert "Needs you" in text
    assert f'href="{reverse("artifact", args=[artifact.uid])}"' in text


def test_damaged_checkpoint_of_others_is_not_told(browse, project, stranger):
    new_artifact(new_run(project, status="completed"), state="corrupt")

    assert "Needs you" not in text_of(browse("stranger").get("/"))


def test_nothing_needs_somebody_while_all_is_well(browse, project, editor):
    new_run(project, status="completed")
    new_run(project, status="running")

    assert "Needs you" not in text_of(browse().get("/"))


@pytest.mark.parametrize(("role", "is_told"), [("operator", True), ("editor", False)])
def test_problems_of_executors_are_told_to_operators_alone(browse, project, editor, monkeypatch, role, is_told):
    monkeypatch.setattr("runs.executors.local.LocalExecutor.problems", lambda self: ["The disk is full."])

    assert ("The disk is full." in text_of(browse(role).get("/"))) is is_told


@pytest.mark.parametrize(("role", "is_told"), [("operator", True), ("editor", False)])
def test_broken_recipes_are_told_to_operators_alone(browse, project, editor, monkeypatch, role, is_told):
    monkeypatch.setattr("trainhub.views.recipe_problems", lambda: {"somewhere": "is broken"})

    assert ("1 recipe folder cannot be used." in text_of(browse(role).get("/"))) is is_told


# --- All of it ------------------------------------------------------------------------------------
def test_gpus_in_use_are_counted_whoever_has_them(browse, stranger, project):
    attempt = new_attempt(project=project)
    Attempt.objects.filter(pk=attempt.pk).update(gpu_indexes=[0, 1, 2], gpu_count=3)

    assert overview(browse("stranger")).gpus_in_use == 3


def test_a_stranger_sees_no_run_of_others(browse, run, stranger):
    assert run.uid not in text_of(browse("stranger").get("/"))


def test_a_deleted_run_is_not_shown(browse, project, editor):
    for status in ("queued", "running", "failed"):
        run = new_run(project, status=status, name="secret")
        Run.objects.filter(pk=run.pk).update(deleted_at=timezone.now())

    assert "secret" not in text_of(browse().get("/"))


def test_poll_gets_the_live_part_alone(browse, run, editor):
    text = text_of(browse().get("/", headers=POLL))

    assert run.uid in text
    assert "<html" not in text


def test_more_runs_than_shown_are_counted_and_linked(browse, project, editor, monkeypatch):
    monkeypatch.setattr("trainhub.overview.SHOWN_RUNS", 1)
    for status in ("queued", "queued", "running", "running", "failed", "failed"):
        new_run(project, status=status)

    text = text_of(browse().get("/"))

    assert 'href="/ui/runs?status=queued">All 2' in text
    assert 'href="/ui/runs?status=starting&amp;status=running&amp;status=cancelling">All 2' in text
    assert "1 more failed" in text
    assert "All that ended" in text


def test_page_holds_nothing_inline(browse, project, editor):
    show_metrics(attempt=new_attempt(project=project), columns={"loss": columns((5, 1, 4.0), (6, 1, 2.0))})
    new_run(project)
    new_run(project, status="failed")

    assert read(browse().get("/")).inline == []


@pytest.mark.parametrize("role", ["editor", "operator"])
@pytest.mark.parametrize("count", [2, 12])
def test_home_asks_the_database_equally_often_for_many_runs(
    browse, project, editor, django_assert_max_num_queries, count, role
):
    for number in range(count):
        show_metrics(attempt=new_attempt(project=project), columns={"loss": columns((number, 1, 1.0))})
        new_run(project)
        new_run(project, status="failed")
    new_artifact(new_run(project, status="completed"), state="corrupt")
    browser = browse(role)

    with django_assert_max_num_queries(12):
        browser.get("/")


def test_a_page_is_compressed_for_who_takes_it_and_a_download_is_not(browse, project, viewer):
    checkpoint = new_artifact(new_run(project, status="completed"))
    takes = {"headers": {"Accept-Encoding": "gzip"}}

    page = browse("viewer").get("/", **takes)
    download = browse("viewer").get(reverse("artifact-download", args=[checkpoint.uid]), **takes)

    assert page.headers["Content-Encoding"] == "gzip"
    assert b"<!doctype html>" in gzip.decompress(page.content)
    assert "Content-Encoding" not in download.headers
