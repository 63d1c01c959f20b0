"""What a run is in a list, and what a page costs."""

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs.api.run_lists import describe_runs
from runs.api.serializers import RunSummarySerializer
from runs.models import Run
from tests.factories import fresh, new_attempt, new_run
from tests.runs.lists.reading import NAN, set_metric
from trainhub.api.renderers import dump_json

pytestmark = pytest.mark.django_db


# --- What an item is, and what a list costs -------------------------------------------------------
def test_items_are_what_the_serializer_of_the_document_says(project, settings):
    settings.UNREACHABLE_AFTER_SECONDS = 0
    silent = new_attempt(project=project).run
    runs = [
        silent,
        new_run(project),
        new_run(project, status="failed", priority=-5),
        new_run(project, recipe="tiny-gpt"),
    ]
    set_metric(silent, "loss", NAN)
    set_metric(silent, "a b", 0.25)
    set_metric(silent, "system/cpu", 0.5)
    Run.objects.filter(pk=runs[1].pk).update(created_by=None, waiting_reason="no room")

    plain = describe_runs([run.pk for run in runs])

    declared = RunSummarySerializer([fresh(run) for run in runs], many=True).data
    assert orjson.loads(dump_json(plain)) == orjson.loads(dump_json(declared))
    assert plain[0]["is_unreachable"] is True


def test_a_run_that_is_gone_is_left_out(run):
    assert [item["id"] for item in describe_runs([run.pk, run.pk + 1])] == [run.uid]


def queries_of(caller, path, query):
    with CaptureQueriesContext(connection) as captured:
        assert caller.get(path, query).status_code == 200
    return len(captured)


# Always: the token, whether a run is being deleted, the keys of the page, its runs, their metrics, their live attempts.
# Page numbers: a count. Members: their projects. The rest is how many are few enough, and looking at some.
COSTS = [
    ("few", {}, 7, 8),
    ("few", {"cursor": ""}, 6, 7),
    ("few", {"status": "queued", "order": "name", "cursor": ""}, 6, 7),
    ("few", {"where": "metrics.loss > 0", "cursor": ""}, 9, 12),
    ("peek", {"where": "metrics.loss > 0", "cursor": ""}, 8, 11),
    ("walk", {"where": "metrics.loss > 0", "cursor": ""}, 7, 9),
    ("walk", {"where": "metrics.loss > 0"}, 8, 10),
    ("few", {"order": "metrics.loss", "cursor": ""}, 6, 10),
    ("peek", {"order": "metrics.loss", "cursor": ""}, 6, 9),
    ("walk", {"order": "metrics.loss"}, 7, 9),
]


@pytest.mark.parametrize(("way", "query", "operators", "members"), COSTS, indirect=["way"])
def test_a_page_takes_as_many_queries_however_many_runs_there_are(
    as_operator, as_viewer, project, way, query, operators, members
):
    few = [set_metric(new_run(project), "loss", number + 1) for number in range(4)]
    asked = {"page_size": 2, **query}
    before = [queries_of(caller, "/runs", asked) for caller in (as_operator, as_viewer)]
    more = [set_metric(new_run(project), "loss", number + 1) for number in range(20)]

    assert [queries_of(caller, "/runs", asked) for caller in (as_operator, as_viewer)] == before
    assert (before, len(few), len(more)) == ([operators, members], 4, 20)
