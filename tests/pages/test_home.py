"""The home page: running, waiting, ended, and what operators must see to."""

from datetime import timedelta

import pytest
from django.utils import timezone

from runs.models import Attempt, Run
from tests.factories import new_attempt, new_run
from tests.pages.reading import text_of
from tests.runs.telemetry.builders import show_metrics


def test_a_newcomer_is_led_to_the_first_project(browse, operator):
    assert "Create a project" in text_of(browse("operator").get("/"))


def test_running_run_shows_progress_and_newest_loss(browse, project, editor):
    attempt = new_attempt(project=project)
    Run.objects.filter(pk=attempt.run_id).update(progress=0.25)
    columns = {"loss": {"step": [7], "time": [1], "value": [1.5]}}
    show_metrics(attempt=attempt, sequence=1, columns=columns)

    text = text_of(browse().get("/"))

    assert "25.0%" in text
    assert "1.5 <span" in text
    assert "step 7" in text
    assert "simulated" in text


def test_silent_run_is_marked_unreachable(browse, project, editor):
    attempt = new_attempt(project=project)
    Attempt.objects.filter(pk=attempt.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=3))

    text = text_of(browse().get("/"))

    assert "unreachable" in text
    assert "heard 3 min ago" in text


def test_waiting_run_shows_its_reason(browse, run, editor):
    Run.objects.filter(pk=run.pk).update(waiting_reason="Needs 2 × 8 GPUs, this executor has 0.")

    assert "Needs 2 × 8 GPUs" in text_of(browse().get("/"))


def test_ended_run_shows_its_outcome(browse, project, editor):
    new_run(project, status="failed")

    assert "The trainer ended with an error. Exit code 1." in text_of(browse().get("/"))


def test_a_stranger_sees_no_run_of_others(browse, run, stranger):
    assert run.uid not in text_of(browse("stranger").get("/"))


def test_poll_gets_the_live_part_alone(browse, run, editor):
    text = text_of(browse().get("/", headers={"HX-Request": "true"}))

    assert run.uid in text
    assert "<html" not in text


def test_more_runs_than_shown_are_counted_and_linked(browse, project, editor, monkeypatch):
    monkeypatch.setattr("trainhub.views.SHOWN_RUNS", 1)
    new_run(project)
    new_run(project)

    assert 'href="/ui/runs?status=queued">All 2' in text_of(browse().get("/"))


@pytest.mark.parametrize(("role", "is_told"), [("operator", True), ("editor", False)])
def test_problems_of_executors_are_told_to_operators_alone(browse, project, editor, monkeypatch, role, is_told):
    monkeypatch.setattr("runs.executors.local.LocalExecutor.problems", lambda self: ["The disk is full."])

    assert ("The disk is full." in text_of(browse(role).get("/"))) is is_told


@pytest.mark.parametrize("count", [2, 12])
def test_home_asks_the_database_equally_often_for_many_runs(
    browse, project, editor, django_assert_max_num_queries, count
):
    for _ in range(count):
        new_run(project, status="running")
    browser = browse()

    with django_assert_max_num_queries(12):
        browser.get("/")
