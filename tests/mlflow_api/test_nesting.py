"""Runs nested below others, and the note and parent that go with their tags."""

import pytest

from runs.models import Run, RunParameter
from tests.factories import at_once

pytestmark = pytest.mark.django_db
PARENT, NOTE = "mlflow.parentRunId", "mlflow.note.content"


def parent_of(uid):
    parent = Run.objects.get(uid=uid).tracking.parent
    return parent and parent.uid


@pytest.fixture
def runs(tracker, project):
    """Three runs, each but the first nested below the one before."""
    first = tracker.new_run(project)
    second = tracker.new_run(project, tags=[{"key": PARENT, "value": first}])
    return [first, second, tracker.new_run(project, tags=[{"key": PARENT, "value": second}])]


def test_taking_off_the_parents_tag_takes_the_run_out(tracker, runs):
    assert parent_of(runs[1]) == runs[0]
    tracker.post("runs/delete-tag", run_id=runs[1], key=PARENT)

    assert parent_of(runs[1]) is None
    tracker.post("runs/delete-tag", code=404, run_id=runs[1], key=PARENT)


def test_taking_off_the_note_empties_the_description(tracker, runs):
    tracker.post("runs/set-tag", run_id=runs[0], key=NOTE, value="warm start")
    tracker.post("runs/delete-tag", run_id=runs[0], key=NOTE)

    assert Run.objects.get(uid=runs[0]).description == ""


@pytest.mark.parametrize("below", [0, 1, 2])
def test_a_run_is_not_nested_below_itself(tracker, runs, below):
    tracker.post("runs/set-tag", code=400, run_id=runs[0], key=PARENT, value=runs[below])

    assert parent_of(runs[0]) is None
    assert PARENT not in tracker.data(runs[0], "tags")


def test_a_jobs_run_stays_below_the_job_without_a_parent_that_is_there(job_tracker, attempt, tracker, project):
    job_tracker.new_run(project)
    made = job_tracker.new_run(project, tags=[{"key": PARENT, "value": "run_unknown"}])
    assert parent_of(made) == attempt.run.uid

    other = tracker.new_run(project)
    job_tracker.post("runs/set-tag", run_id=made, key=PARENT, value=other)
    assert parent_of(made) == other
    job_tracker.post("runs/delete-tag", run_id=made, key=PARENT)
    assert parent_of(made) == attempt.run.uid


def test_parameters_are_written_in_one_order_whatever_the_clients(tracker, runs):
    params = [{"key": key, "value": "1"} for key in "cab"]
    tracker.post("runs/log-batch", run_id=runs[0], params=params)

    assert "".join(RunParameter.objects.order_by("pk").values_list("name", flat=True)) == "abc"


@pytest.mark.django_db(transaction=True)
def test_two_runs_nested_below_each_other_at_once_make_no_circle(tracker, project):
    one, two = tracker.new_run(project), tracker.new_run(project)
    path = "/mlflow/api/2.0/mlflow/runs/set-tag"
    bodies = [{"run_id": own, "key": PARENT, "value": other} for own, other in ((one, two), (two, one))]

    answers = at_once(*[lambda body=body: tracker.call("POST", path, body) for body in bodies])

    assert sorted(answer.status_code for answer in answers) == [200, 400]
    assert [parent_of(one), parent_of(two)].count(None) == 1
