"""The same run again."""

import pytest

from runs.models import Run
from tests.factories import everything, new_artifact, new_run, run_path

pytestmark = pytest.mark.django_db


@pytest.fixture
def original(project):
    return new_run(
        project,
        status="completed",
        name="original",
        dataset="s3://data",
        model_parameters={"max_steps": 10, "eval_interval": 5},
        hyperparameters={"batch_size": 4},
        compute={"node_count": 1},
        priority=3,
        max_restarts=2,
    )


def test_a_repeated_run_has_the_same_definition(as_editor, original):
    answer = as_editor.call("POST", f"{run_path(original)}/repeat", {})

    shown = answer.json()
    repeated = Run.objects.get(uid=shown["id"])
    assert (answer.status_code, shown["status"], shown["created_by"]) == (201, "queued", "edith")
    assert shown["id"] != original.uid
    assert definition(repeated) == definition(original)


def definition(run):
    names = ("name", "recipe", "dataset", "model_parameters", "hyperparameters", "compute", "priority", "max_restarts")
    return {name: getattr(run, name) for name in names}


def test_parameters_are_laid_over_the_originals_name_by_name(as_editor, original):
    changes = {"model_parameters": {"max_steps": 20}, "name": "longer"}

    shown = as_editor.call("POST", f"{run_path(original)}/repeat", changes).json()

    assert (shown["name"], shown["model_parameters"]) == ("longer", {"max_steps": 20, "eval_interval": 5})


def test_a_repeated_run_begins_at_the_beginning(as_editor, original):
    resumed = new_run(original.project, status="completed", resumed_from=None)
    Run.objects.filter(pk=resumed.pk).update(resumed_from=new_artifact(original))

    assert as_editor.call("POST", f"{run_path(resumed)}/repeat", {}).json()["resumed_from"] is None


@pytest.mark.parametrize("status", ["queued", "running", "failed", "cancelled"])
def test_a_run_is_repeated_in_whatever_state_it_is(as_editor, project, status):
    run = new_run(project, status=status)

    assert as_editor.call("POST", f"{run_path(run)}/repeat", {}).status_code == 201


def test_without_a_body_nothing_is_changed(as_editor, original):
    assert as_editor.call("POST", f"{run_path(original)}/repeat").json()["name"] == "original"


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"model_parameters": {"max_steps": 0}},
        {"recipe": "none-such"},
        {"command": "sh"},
        {"compute": {"node_count": "x"}},
        [],
    ],
)
def test_bad_changes_are_400_and_nothing_is_stored(as_editor, original, body):
    before = everything()

    answer = as_editor.call("POST", f"{run_path(original)}/repeat", body)

    assert answer.status_code == 400
    assert everything() == before
