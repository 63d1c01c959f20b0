"""Experiments that clients delete while runs go on."""

import pytest

from runs.models import Run
from tests.factories import everything, fresh

pytestmark = pytest.mark.django_db


def test_runs_of_clients_that_never_said_they_ended_do_not_keep_an_experiment(tracker, project):
    forgotten = tracker.new_run(project)

    tracker.post("experiments/delete", experiment_id=project.uid)

    assert fresh(project).status == "archived"
    run = Run.objects.get(uid=forgotten)
    assert (run.status, run.reason) == ("cancelled", "reported_killed")
    assert tracker.run(forgotten)["info"]["lifecycle_stage"] == "deleted"


def test_a_managed_run_that_goes_on_keeps_its_experiment_and_nothing_changes(tracker, project, attempt):
    tracker.new_run(project)
    before = everything()

    error = tracker.post("experiments/delete", code=400, experiment_id=project.uid)

    assert error["error_code"] == "INVALID_PARAMETER_VALUE"
    assert everything() == before
