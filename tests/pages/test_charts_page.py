"""The list of metrics that the charts of a run's page are made from."""

import pytest
from django.urls import reverse

from runs.models import Run
from tests.factories import new_artifact, new_attempt, new_run
from tests.pages.reading import text_of
from tests.runs.telemetry.builders import show_metrics


def list_of(run):
    return reverse("run-charts", args=[run.uid])


@pytest.fixture
def measured(project):
    """A running run with some metrics."""
    keys = ["loss", "val_loss", "system/gpu.0.utilization", '"><b>']
    columns = {key: {"step": [1], "time": [1], "value": [0.5]} for key in keys}
    attempt = new_attempt(project=project)
    show_metrics(attempt=attempt, sequence=1, columns=columns)
    return attempt.run


def test_list_groups_the_metrics_by_panel(browse, editor, measured):
    text = text_of(browse().get(list_of(measured)))

    assert 'data-section="Metrics" data-title="loss" data-unit="">' in text
    assert 'data-title="GPU utilisation" data-unit="percent" data-system>' in text
    assert '<tr data-label="GPU 0">' in text


def test_list_shows_names_as_text(browse, editor, measured):
    text = text_of(browse().get(list_of(measured)))

    assert 'data-title="&quot;&gt;&lt;b&gt;"' in text
    assert "<b>" not in text


def test_list_is_the_fragment_that_the_page_shows(browse, editor, measured):
    fragment = text_of(browse().get(list_of(measured))).strip()

    assert fragment in text_of(browse().get(reverse("run", args=[measured.uid])))


def test_list_tells_when_the_run_has_ended(browse, editor, project, measured):
    assert "data-ended" not in text_of(browse().get(list_of(measured)))
    assert "data-ended" in text_of(browse().get(list_of(new_run(project, status="completed"))))


def test_stranger_gets_no_list(browse, stranger, measured):
    assert browse("stranger").get(list_of(measured)).status_code == 404


def test_viewer_reads_the_list(browse, viewer, measured):
    assert browse("viewer").get(list_of(measured)).status_code == 200


def test_list_asks_the_database_a_bounded_number_of_times(browse, editor, measured, django_assert_max_num_queries):
    browser = browse()

    with django_assert_max_num_queries(8):
        browser.get(list_of(measured))


def test_only_a_resumed_run_asks_for_what_it_goes_on_from(browse, editor, project, measured):
    child = new_run(project)
    Run.objects.filter(pk=child.pk).update(resumed_from=new_artifact(measured))

    pages = [text_of(browse().get(reverse("run", args=[run.uid]))) for run in (measured, child)]

    assert ["data-stitched" in page for page in pages] == [False, True]
