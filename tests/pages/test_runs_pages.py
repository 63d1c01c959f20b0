"""The list of runs, one run with its live parts, and cancelling."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from artifacts.models import TagValue
from artifacts.services import tag_artifact
from projects.models import Role
from projects.services import update_project
from runs.attempts import finish_attempt
from runs.models import Run
from runs.services import cancel_run
from tests.factories import (
    add_member,
    exit_body,
    fresh,
    kinds,
    new_artifact,
    new_attempt,
    new_project,
    new_run,
    resume_run,
)
from tests.pages.reading import flashes, text_of
from tests.runs.telemetry.builders import append_lines, line, show_metrics


def page_of(run, name="run"):
    return reverse(name, args=[run.uid])


def report_loss(attempt, values):
    columns = {"loss": {"step": list(range(len(values))), "time": [1] * len(values), "value": values}}
    show_metrics(attempt=attempt, sequence=1, columns=columns)


def test_list_filters_as_the_api_does(browse, project, editor):
    new_run(project, name="done", status="completed")
    new_run(project, name="still waiting")

    text = text_of(browse().get(reverse("runs"), {"status": "completed"}))

    assert "done" in text
    assert "still waiting" not in text


@pytest.mark.parametrize(
    "query", [{"status": "nonsense"}, {"created_after": "yesterday"}, {"order": "secret"}, {"page": "-1"}]
)
def test_list_refuses_what_it_does_not_know(browse, run, editor, query):
    assert browse().get(reverse("runs"), query).status_code == 400


def test_list_takes_conditions_and_orders_by_metric(browse, project, editor):
    for_loss = [new_attempt(project=project) for _ in range(3)]
    [report_loss(attempt, [value]) for attempt, value in zip(for_loss, [3.0, 1.0, 2.0], strict=True)]
    query = {"where": ["metrics.loss < 3", "metrics.loss > 0"], "order": "-metrics.loss"}

    answer = browse().get(reverse("runs"), query)

    assert [row.run.pk for row in answer.context["table"].rows] == [for_loss[2].run_id, for_loss[1].run_id]
    assert 'value="metrics.loss &lt; 3 and metrics.loss &gt; 0"' in answer.content.decode()


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("where", "loss < 1", "At character 1: expected metrics."),
        ("order", "metrics.", "Must be created_at, completed_at"),
    ],
)
def test_list_says_what_is_wrong_beside_the_field_and_keeps_the_text(browse, run, editor, field, text, message):
    answer = browse().get(reverse("runs"), {field: text})

    shown = answer.content.decode()
    assert answer.status_code == 400
    assert message in shown[shown.index(f'name="{field}"') :][:500]
    assert escape(text) in shown


def test_list_takes_as_many_queries_however_many_runs_there_are(browse, project, editor, django_assert_max_num_queries):
    [new_attempt(project=project) for _ in range(3)]
    client = browse()
    with django_assert_max_num_queries(12) as few:
        client.get(reverse("runs"))
    [new_attempt(project=project) for _ in range(9)]

    with django_assert_max_num_queries(len(few)):
        assert client.get(reverse("runs")).status_code == 200


def test_list_holds_no_run_of_others(browse, run, stranger):
    assert run.uid not in text_of(browse("stranger").get(reverse("runs")))


def test_list_has_pages(browse, project, editor):
    new_run(project)
    new_run(project)

    text = text_of(browse().get(reverse("runs"), {"page_size": "1"}))

    assert "2 in all, page 1 of 2" in text
    assert 'href="?page_size=1&amp;page=2"' in text


@pytest.mark.parametrize("count", [2, 12])
def test_list_asks_the_database_equally_often_for_many_runs(
    browse, project, editor, django_assert_max_num_queries, count
):
    for _ in range(count):
        new_run(project, status="running")
    browser = browse()

    with django_assert_max_num_queries(12):
        browser.get(reverse("runs"))


def test_running_run_is_polled(browse, project, editor):
    run = new_run(project, status="running")

    text = text_of(browse().get(page_of(run)))

    assert f'hx-get="{page_of(run, "run-status")}"' in text
    assert f'hx-get="{page_of(run, "run-log-tail")}"' in text


def test_ended_run_is_not_polled(browse, project, editor):
    assert "hx-get" not in text_of(browse().get(page_of(new_run(project, status="completed"))))


def test_poll_gets_the_same_fragment_that_the_page_shows(browse, project, editor):
    run = new_run(project, status="running")

    text = text_of(browse().get(page_of(run, "run-status"), headers={"HX-Request": "true"}))

    assert text.lstrip().startswith('<div id="run-status"')
    assert "node-1" in text


def poll(browser, run, seen):
    return browser.get(page_of(run, "run-status"), {"seen": seen}, headers={"HX-Request": "true"})


def test_poll_at_the_end_of_a_run_brings_what_changed_and_asks_for_no_more(browse, project, editor):
    attempt = new_attempt(project=project)
    seen = attempt.run.events.latest("id").pk
    new_artifact(attempt.run)
    finish_attempt(attempt=attempt, report=exit_body())

    answer = poll(browse(), attempt.run, seen)

    text = text_of(answer)
    assert "HX-Refresh" not in answer
    assert page_of(attempt.run, "run-status") not in text
    assert 'id="run-actions" class="btn-list" hx-swap-oob="true"' in text
    assert page_of(attempt.run, "run-cancel") not in text
    assert '<ol hx-swap-oob="afterbegin:#run-story">' in text
    assert text.count('<li class="') == 1


def test_poll_without_news_brings_the_status_alone(browse, project, editor, django_assert_max_num_queries):
    attempt = new_attempt(project=project)
    browser = browse()

    with django_assert_max_num_queries(8):
        text = text_of(poll(browser, attempt.run, attempt.run.events.latest("id").pk))

    assert "run-actions" not in text
    assert "run-story" not in text


@pytest.mark.parametrize("query", [{"seen": "x"}, {"seen": "-1"}, {"seen": "9" * 30}])
def test_poll_refuses_what_is_no_event(browse, run, editor, query):
    assert browse().get(page_of(run, "run-status"), query).status_code == 400


def test_run_shows_its_evidence(browse, project, editor):
    attempt = new_attempt(project=project)

    text = text_of(browse().get(page_of(attempt.run)))

    assert " s ago</span> from host <bdi>node-1</bdi>, attempt 1, phase training" in text


def test_chart_of_a_resumed_run_begins_with_what_it_goes_on_from(browse, project, editor):
    parent = new_attempt(project=project)
    report_loss(parent, [4.0, 3.0, 2.0, 9.0])
    child = new_attempt(new_run(project))
    checkpoint = new_artifact(parent.run, step=2)
    Run.objects.filter(pk=child.run_id).update(resumed_from=checkpoint)
    child.run.attempts.update(resume_from=checkpoint)
    show_metrics(attempt=child, sequence=1, columns={"loss": {"step": [3], "time": [1], "value": [1.0]}})

    text = text_of(browse().get(page_of(child.run)))

    assert "Loss from 1 to 4 over steps 0 to 3" in text


def test_run_shows_chart_and_newest_metrics(browse, project, editor):
    attempt = new_attempt(project=project)
    report_loss(attempt, [4.0, 3.0, 2.0])

    text = text_of(browse().get(page_of(attempt.run)))

    assert 'points="0.0,0.0 300.0,90.0 600.0,180.0"' in text
    assert '<td class="number">2</td>' in text


def test_loss_that_is_no_number_breaks_no_page(browse, project, editor):
    attempt = new_attempt(project=project)
    report_loss(attempt, [float("nan"), float("inf"), float("-inf"), float("nan")])

    answer = browse().get(page_of(attempt.run))

    assert answer.status_code == 200
    assert "NaN" in text_of(answer)


def entries_of(answer):
    return {entry.name: entry for group in answer.context["config"] for entry in group.entries}


def others_of(entry):
    return {other.source: other.value for other in entry.others}


def test_config_says_where_values_come_from_and_what_the_defaults_are(browse, admin, editor):
    project = new_project(by=admin, default_hyperparameters={"learning_rate": 0.5, "batch_size": 4})
    add_member(project, "eve", Role.EDITOR)
    run = new_run(project, model_parameters={"max_steps": 12}, hyperparameters={"batch_size": 2})

    entries = entries_of(browse("admin").get(page_of(run)))

    assert (entries["max_steps"].source, others_of(entries["max_steps"])) == ("given at launch", {"recipe": 1000})
    assert (entries["eval_interval"].source, entries["eval_interval"].others) == ("recipe's default", [])
    assert (entries["learning_rate"].source, others_of(entries["learning_rate"])) == (
        "project's default",
        {"recipe": 2e-5},
    )
    assert others_of(entries["batch_size"]) == {"recipe": 8, "project": 4}


def test_config_is_compared_with_the_projects_defaults_of_the_launch(browse, project, admin, editor):
    run = new_run(project)
    update_project(project=project, values={"default_hyperparameters": {"learning_rate": 0.9}})

    assert entries_of(browse().get(page_of(run)))["learning_rate"].others == []


def resumed(parent, **values):
    """A run that goes on from a checkpoint of `parent`."""
    return resume_run(checkpoint=new_artifact(parent, step=40), by=parent.created_by, values=values)


def test_config_of_a_resumed_run_is_compared_with_its_parent(browse, project, editor):
    parent = new_run(project, status="completed", model_parameters={"max_steps": 50, "fail_at_step": 9})
    child = resumed(parent, model_parameters={"max_steps": 70})

    answer = browse().get(page_of(child))

    entries = entries_of(answer)
    assert others_of(entries["max_steps"]) == {"recipe": 1000, "parent": 50}
    assert entries["fail_at_step"].source == "parent"
    assert f'href="{page_of(parent)}"' in text_of(answer)
    assert f'href="{page_of(child)}"' in text_of(browse().get(page_of(parent)))


@pytest.mark.parametrize(
    ("query", "is_reduced"), [({}, False), ({"config": "all"}, False), ({"config": "differences"}, True)]
)
def test_config_can_show_the_differences_alone(browse, run, editor, query, is_reduced):
    text = text_of(browse().get(page_of(run), query))

    assert ('class="card-body only-differences"' in text) == is_reduced


@pytest.mark.parametrize(("name", "query"), [("run", {"config": "secret"}), ("run-timeline", {"show": "secret"})])
def test_run_pages_refuse_what_they_do_not_know(browse, run, editor, name, query):
    assert browse().get(page_of(run, name), query).status_code == 400


def test_waiting_run_says_why_where_it_stands_and_what_must_happen(browse, project, editor):
    new_run(project, priority=5)
    run = new_run(project)
    new_run(project)
    Run.objects.filter(pk=run.pk).update(waiting_reason="Waits for a free slot: 4 of 4 are in use.")

    text = text_of(browse().get(page_of(run)))

    assert "Waits for a free slot: 4 of 4 are in use." in text
    assert "Place 2 of 3 in the queue of <bdi>local</bdi>" in text
    assert "It starts by itself when a run ends" in text


def test_wait_tells_when_the_scheduler_stopped_looking(browse, run, editor):
    Run.objects.filter(pk=run.pk).update(waiting_checked_at=timezone.now() - timedelta(hours=1))

    assert "The scheduler last looked" in text_of(browse().get(page_of(run)))


def test_failed_run_says_who_is_to_blame_how_it_ended_and_its_last_words(browse, project, editor):
    attempt = new_attempt(project=project)
    append_lines(attempt=attempt, sequence=1, lines=[line(text="fine"), line(text="CUDA is <gone>", level=3)])
    finish_attempt(attempt=attempt, report=exit_body(exit_code=None, signal=9))

    answer = browse().get(page_of(attempt.run))

    text, failure = text_of(answer), answer.context["failure"]
    assert "Cause: <strong>the training program</strong>" in text
    assert "Ended with <strong>signal 9 (SIGKILL)</strong>" in text
    assert [said.message for said in failure.lines] == ["CUDA is <gone>"]
    assert "CUDA is &lt;gone&gt;" in text


def test_silent_node_is_told_with_what_it_means(browse, project, editor):
    attempt = new_attempt(project=project)
    attempt.run.attempts.update(heartbeat_at=timezone.now() - timedelta(minutes=3))

    text = text_of(browse().get(page_of(attempt.run)))

    assert "Nothing heard from <bdi>node-1</bdi> for 3 min" in text
    assert "Nothing was changed: the trainer may well go on" in text


def test_strip_shows_step_speed_and_use(browse, project, editor):
    attempt = new_attempt(new_run(project, model_parameters={"max_steps": 12000}))
    attempt.run.attempts.update(started_at=timezone.now() - timedelta(seconds=100))
    columns = {
        name: {"step": [5000], "time": [1], "value": [value]}
        for name, value in {"loss": 2.5, "train/tokens_per_second": 18000.0, "gpu_utilization": 0.93}.items()
    }
    show_metrics(attempt=attempt, sequence=1, columns=columns)

    answer = browse().get(page_of(attempt.run))

    vitals = answer.context["vitals"]
    assert (vitals.step, vitals.total_steps, vitals.use) == (5000, 12000, 0.93)
    assert vitals.steps_per_second == pytest.approx(50, rel=0.1)
    assert "18,000 <small><bdi>tokens/s</bdi>" in text_of(answer)


def test_attempts_are_listed_with_how_they_ended(browse, project, editor):
    first = new_attempt(new_run(project, max_restarts=1))
    finish_attempt(attempt=first, report=exit_body(exit_code=7))
    new_attempt(fresh(first.run))

    text = text_of(browse().get(page_of(first.run)))

    assert "2 attempts" in text
    assert "exit code 7" in text
    assert "Attempt 1 ended early; queued again." in text


def test_timeline_shows_status_alone_when_asked(browse, project, editor):
    run = new_run(project, status="completed")
    tag_artifact(artifact=new_artifact(run), value=TagValue.CANDIDATE, notes="<b>good</b>", by=editor)

    everything = text_of(browse().get(page_of(run, "run-timeline")))
    status = text_of(browse().get(page_of(run, "run-timeline"), {"show": "status"}))

    assert "&lt;b&gt;good&lt;/b&gt;" in everything
    assert "&lt;b&gt;" not in status
    assert "The trainer finished." in status


def test_timeline_says_that_a_checkpoint_was_saved_and_not_that_it_was_verified(browse, run, editor):
    run.events.create(kind="checkpoint_recorded", actor="runner", message="step-10")

    text = text_of(browse().get(page_of(run, "run-timeline")))

    assert "Checkpoint saved:" in text
    assert "saved and verified" not in text


@pytest.mark.parametrize("kind", ["something_new", "queued", "running", "checkpoint_recorded"])
def test_timeline_tells_entries_whose_evidence_is_missing(browse, run, editor, kind):
    run.events.create(kind=kind, actor="someone")

    assert browse().get(page_of(run, "run-timeline")).status_code == 200


def test_simulated_run_and_artifact_say_so(browse, project, editor):
    run = new_run(project, status="completed")
    new_artifact(run)

    assert text_of(browse().get(page_of(run))).count('class="badge simulated"') == 2


def test_long_timeline_is_shown_in_part_and_linked(browse, project, editor, monkeypatch):
    monkeypatch.setattr("runs.views.detail.NEWEST_EVENTS", 2)
    run = new_run(project, status="completed")

    text = text_of(browse().get(page_of(run)))

    assert text.count('id="event-') == 2
    assert f'href="{page_of(run, "run-timeline")}">All entries' in text


def test_many_artifacts_are_shown_in_part_and_linked(browse, project, editor, monkeypatch):
    monkeypatch.setattr("runs.views.scoped.NEWEST_ARTIFACTS", 1)
    run = new_run(project, status="completed")
    new_artifact(run)
    new_artifact(run)

    assert f'href="{page_of(run, "artifacts")}">All 2 artifacts' in text_of(browse().get(page_of(run)))


def test_cancel_asks_before_it_acts(browse, project, editor):
    run = new_run(project, status="running")

    text = text_of(browse().get(page_of(run, "run-cancel")))

    assert "asked to save a checkpoint and stop. It has 10 s" in text
    assert fresh(run).status == "running"


def test_cancel_says_what_is_kept_and_what_is_lost(browse, project, editor):
    attempt = new_attempt(project=project)
    report_loss(attempt, [3.0] * 16)
    new_artifact(attempt.run, step=10)

    text = text_of(browse().get(page_of(attempt.run, "run-cancel")))

    assert "<bdi>checkpoint-10</bdi></a>, step 10" in text
    assert "<strong>5 steps</strong>" in text


def test_cancel_from_the_page_answers_with_its_live_parts(browse, project, editor):
    attempt = new_attempt(project=project)
    seen = attempt.run.events.latest("id").pk

    answer = browse().post(page_of(attempt.run, "run-cancel"), {"seen": seen}, headers={"HX-Request": "true"})

    text = text_of(answer)
    assert (answer.status_code, fresh(attempt.run).status) == (200, "cancelling")
    assert text.lstrip().startswith('<div id="run-status"')
    assert "Receipt of the cancel" in text
    assert "asked to stop" in text


def test_time_left_to_save_is_shown(browse, project, editor):
    attempt = new_attempt(project=project)
    browse().post(page_of(attempt.run, "run-cancel"))
    told = timezone.now() - timedelta(seconds=4)
    attempt.run.events.create(kind="signalled", actor="runner", at=told)

    text = text_of(browse().get(page_of(attempt.run)))
    left = re.search(r"The trainer is saving: (\d) s left", text)
    passed = (timezone.now() - told).total_seconds()
    assert left
    assert attempt.run.grace_seconds - passed - 1 <= int(left[1]) <= 6


def test_queued_run_is_cancelled_at_once(browse, run, editor):
    answer = browse().post(page_of(run, "run-cancel"), follow=True)

    assert flashes(answer) == ["The run was cancelled."]
    assert (fresh(run).status, kinds(run)[-1]) == ("cancelled", "cancelled")


def test_cancelled_run_shows_the_receipt(browse, project, editor):
    attempt = new_attempt(project=project)
    run = attempt.run
    browse().post(page_of(run, "run-cancel"))
    checkpoint = new_artifact(run, step=42)
    finish_attempt(attempt=attempt, report=exit_body(was_stopped=True))

    text = text_of(browse().get(page_of(run)))

    assert "Receipt of the cancel" in text
    assert "recorded after the request" in text
    assert f"sha256 {checkpoint.digest}" in text


@pytest.mark.parametrize(("role", "is_offered"), [("viewer", False), ("editor", True)])
def test_the_receipt_offers_a_resume_to_editors_alone_also_in_a_poll(browse, project, role, is_offered):
    attempt = new_attempt(project=project)
    run = cancel_run(run=attempt.run, by=project.created_by)
    resume = reverse("run-resume", args=[new_artifact(run).uid])
    finish_attempt(attempt=attempt, report=exit_body(was_stopped=True))
    browser, newest = browse(role), fresh(run).events.latest("id").pk

    answers = [browser.get(page_of(run)), poll(browser, run, 0), poll(browser, run, newest)]
    receipts = [text_of(answer).partition('id="receipt"')[2].partition("</section>")[0] for answer in answers]

    assert ["recorded after the request" in receipt for receipt in receipts] == [True] * 3
    assert [resume in receipt for receipt in receipts] == [is_offered] * 3


def test_ended_run_is_not_cancelled(browse, project, editor):
    run = new_run(project, status="completed")

    answer = browse().post(page_of(run, "run-cancel"), follow=True)

    assert flashes(answer) == ["A run that is completed cannot become cancelling."]
    assert (fresh(run).status, "cancelling" in kinds(run)) == ("completed", False)


def test_viewer_sees_no_button_that_is_not_for_viewers(browse, project, viewer):
    run = new_run(project, status="running")
    new_artifact(run)

    text = text_of(browse("viewer").get(page_of(run)))

    for name in ("run-cancel", "run-delete"):
        assert page_of(run, name) not in text
    assert reverse("run-resume", args=[run.artifacts.get().uid]) not in text
    assert "Editors of the project cancel, resume and repeat its runs." in text
    assert "<summary>Tag" not in text


def test_run_that_is_not_there_is_a_page(browse, editor):
    answer = browse().get("/ui/runs/run_nothere")

    assert answer.status_code == 404
    assert "There is no such run." in text_of(answer)


def test_run_page_asks_the_database_a_bounded_number_of_times(browse, project, editor, django_assert_max_num_queries):
    attempt = new_attempt(resumed(new_run(project, status="completed")))
    append_lines(attempt=attempt, sequence=1, lines=[line()])
    for step in range(5):
        new_artifact(attempt.run, step=step)
    browser = browse()

    with django_assert_max_num_queries(12):
        browser.get(page_of(attempt.run))
