"""Resuming from a checkpoint."""

import pytest

from projects.models import Role
from runs.models import Run
from tests.factories import (
    Caller,
    add_member,
    damage,
    everything,
    fresh,
    kinds,
    lose,
    new_artifact,
    new_project,
    new_run,
    run_path,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project):
    return new_run(
        project,
        status="cancelled",
        name="original",
        dataset="s3://data",
        model_parameters={"max_steps": 10, "eval_interval": 5},
        hyperparameters={"learning_rate": 0.1, "batch_size": 4},
        max_restarts=2,
    )


@pytest.fixture
def checkpoint(run):
    return new_artifact(run)


@pytest.fixture
def resume(as_editor, run):
    return lambda source, body=None: as_editor.call(
        "POST", f"{run_path(run)}/resume?source_artifact_id={source}", {} if body is None else body
    )


def test_a_resumed_run_continues_from_the_checkpoint(resume, run, checkpoint):
    answer = resume(checkpoint.uid)

    shown = answer.json()
    assert (answer.status_code, shown["status"], shown["created_by"]) == (201, "queued", "edith")
    assert (shown["resumed_from"], shown["resumed_from_run"]) == (checkpoint.uid, run.uid)
    assert shown["id"] != run.uid
    assert answer.headers["Location"].endswith(f"/runs/{shown['id']}")


def test_the_timeline_of_the_new_run_names_the_checkpoint(resume, checkpoint):
    event = Run.objects.get(uid=resume(checkpoint.uid).json()["id"]).events.get()

    assert (event.kind, event.message) == ("queued", "Resumes from checkpoint-10.")
    assert event.evidence == {"resumed_from": checkpoint.uid}


def test_what_is_left_out_is_taken_over(resume, checkpoint):
    shown = resume(checkpoint.uid).json()

    assert (shown["name"], shown["dataset"], shown["max_restarts"]) == ("original resumed", "s3://data", 2)
    assert shown["hyperparameters"] == {"learning_rate": 0.1, "batch_size": 4}


def test_parameters_are_laid_over_the_originals_name_by_name(resume, checkpoint):
    shown = resume(checkpoint.uid, {"name": "next", "hyperparameters": {"learning_rate": 0.01}}).json()

    assert (shown["name"], shown["hyperparameters"]) == ("next", {"learning_rate": 0.01, "batch_size": 4})


@pytest.mark.parametrize("spoil", [damage, lose])
@pytest.mark.parametrize("index", [0, 1])
def test_a_damaged_checkpoint_is_409_naming_the_file_and_creates_nothing(resume, run, checkpoint, spoil, index):
    name = spoil(checkpoint, index)

    answer = resume(checkpoint.uid)

    assert (answer.status_code, answer.json()["code"], answer.json()["file"]) == (409, "artifact_damaged", name)
    assert Run.objects.count() == 1
    assert (fresh(checkpoint).state, kinds(run)[-1]) == ("corrupt", "artifact_damaged")


@pytest.mark.parametrize("source", ["ckpt_none", "", "%00", "x" * 5000, "../..", "' OR 1=1 --", "%F0%9F%9A%82"])
def test_an_unknown_checkpoint_creates_nothing(resume, checkpoint, source):
    before = everything()

    answer = resume(source)

    assert answer.status_code in {400, 404}
    assert everything() == before


def test_without_a_checkpoint_it_is_400(as_editor, run):
    answer = as_editor.call("POST", f"{run_path(run)}/resume", {})

    assert (answer.status_code, list(answer.json())) == (400, ["code", "source_artifact_id"])


def test_what_is_no_checkpoint_is_400(resume, run):
    artifact = new_artifact(run, type="evaluation")

    answer = resume(artifact.uid)

    assert (answer.status_code, Run.objects.count()) == (400, 1)


def test_a_checkpoint_of_another_run_is_404(resume, project):
    other = new_artifact(new_run(project, status="completed"))

    assert resume(other.uid).status_code == 404


def test_a_checkpoint_of_another_project_is_404_even_for_its_member(resume, editor, project):
    elsewhere = new_project()
    elsewhere.memberships.create(user=editor, role=Role.ADMIN)
    foreign = new_artifact(new_run(elsewhere, status="completed"))

    assert resume(foreign.uid).status_code == 404


def test_a_checkpoint_that_is_still_being_written_is_404(resume, run):
    assert resume(new_artifact(run, state="writing").uid).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"hyperparameters": {"learning_rate": -1}},
        {"source_artifact_id": "x"},
        {"resumed_from": "x"},
        {"model_parameters": []},
        [],
        b"{",
    ],
)
def test_bad_changes_are_400_and_nothing_is_stored(resume, checkpoint, body):
    count = Run.objects.count()

    answer = resume(checkpoint.uid, body)

    assert answer.status_code == 400
    assert Run.objects.count() == count


@pytest.mark.parametrize("status", ["running", "cancelling", "failed", "completed"])
def test_a_checkpoint_can_be_resumed_whatever_its_run_does(project, status):
    run = new_run(project, status=status)
    checkpoint = new_artifact(run)
    caller = Caller(add_member(project, "erik", Role.EDITOR))

    assert caller.call("POST", f"{run_path(run)}/resume?source_artifact_id={checkpoint.uid}", {}).status_code == 201
