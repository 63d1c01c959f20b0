"""The list of runs, one run with its live parts, and cancelling."""

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from runs.attempts import finish_attempt
from runs.models import Run
from tests.factories import exit_body, fresh, kinds, new_artifact, new_attempt, new_run
from tests.pages.reading import flashes, text_of
from tests.runs.telemetry.builders import show_metrics


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

    assert [run.pk for run in answer.context["runs"]] == [for_loss[2].run_id, for_loss[1].run_id]
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
    with django_assert_max_num_queries(20) as few:
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

    with django_assert_max_num_queries(9):
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


def test_poll_at_the_end_of_a_run_loads_the_page_anew(browse, project, editor):
    answer = browse().get(page_of(new_run(project, status="completed"), "run-status"))

    assert answer["HX-Refresh"] == "true"


def test_run_shows_its_evidence(browse, project, editor):
    attempt = new_attempt(project=project)

    text = text_of(browse().get(page_of(attempt.run)))

    assert "heard 0 s ago" in text
    assert "1, training" in text


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


def test_run_shows_defaults_beside_what_was_given(browse, project, editor):
    run = new_run(project, model_parameters={"max_steps": 12})

    config = browse().get(page_of(run)).context["config"]

    assert ("max_steps", 12, True) in config[0]["entries"]
    assert ("eval_interval", 100, False) in config[0]["entries"]


def test_simulated_run_and_artifact_say_so(browse, project, editor):
    run = new_run(project, status="completed")
    new_artifact(run)

    assert text_of(browse().get(page_of(run))).count('class="badge simulated"') == 2


def test_long_timeline_is_shown_in_part_and_linked(browse, project, editor, monkeypatch):
    monkeypatch.setattr("runs.views.NEWEST_EVENTS", 2)
    run = new_run(project, status="completed")

    text = text_of(browse().get(page_of(run)))

    assert f'href="{page_of(run, "run-timeline")}">All 4 entries' in text


def test_many_artifacts_are_shown_in_part_and_linked(browse, project, editor, monkeypatch):
    monkeypatch.setattr("runs.views.NEWEST_ARTIFACTS", 1)
    run = new_run(project, status="completed")
    new_artifact(run)
    new_artifact(run)

    assert f'href="{page_of(run, "artifacts")}">All 2 artifacts' in text_of(browse().get(page_of(run)))


def test_cancel_asks_before_it_acts(browse, project, editor):
    run = new_run(project, status="running")

    text = text_of(browse().get(page_of(run, "run-cancel")))

    assert "asked to save a checkpoint and stop. It has 10 s" in text
    assert fresh(run).status == "running"


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


def test_ended_run_is_not_cancelled(browse, project, editor):
    run = new_run(project, status="completed")

    answer = browse().post(page_of(run, "run-cancel"), follow=True)

    assert flashes(answer) == ["A run that is completed cannot become cancelling."]
    assert (fresh(run).status, "cancelling" in kinds(run)) == ("completed", False)


def test_viewer_sees_no_button_that_is_not_for_viewers(browse, project, viewer):
    run = new_run(project, status="running")
    new_artifact(run)

    text = text_of(browse("viewer").get(page_of(run)))

    assert ">Cancel<" not in text
    assert ">Resume<" not in text
    assert "<summary>Tag" not in text


def test_run_that_is_not_there_is_a_page(browse, editor):
    answer = browse().get("/ui/runs/run_nothere")

    assert answer.status_code == 404
    assert "There is no such run." in text_of(answer)


def test_run_page_asks_the_database_a_bounded_number_of_times(browse, project, editor, django_assert_max_num_queries):
    attempt = new_attempt(project=project)
    report_loss(attempt, [3.0, 2.0])
    for step in range(5):
        new_artifact(attempt.run, step=step)
    Run.objects.filter(pk=attempt.run_id).update(updated_at=timezone.now())
    browser = browse()

    with django_assert_max_num_queries(30):
        browser.get(page_of(attempt.run))
