"""The launch form: from a project's defaults, or from a run to repeat."""

import pytest
from django.urls import reverse

from projects.services import archive_project
from runs.models import Run
from tests.factories import everything, new_project, new_run
from tests.pages.reading import text_of

TYPED = {
    "name": "first", "recipe": "simulate", "executor": "local", "model_parameters": '{"max_steps": 10}',
    "hyperparameters": "{}",
}  # fmt: skip


@pytest.fixture
def place(project):
    return reverse("run-launch", args=[project.uid])


def test_run_is_queued_and_shown(browse, place, editor):
    answer = browse().post(place, TYPED)

    run = Run.objects.get()
    assert answer["Location"] == reverse("run", args=[run.uid])
    assert (run.name, run.status, run.created_by, run.model_parameters) == (
        "first",
        "queued",
        editor,
        {"max_steps": 10},
    )


def test_what_is_asked_of_the_machine_is_kept(browse, place, editor):
    browse().post(place, {**TYPED, "node_count": "2", "gpus_per_node": "8", "max_restarts": "3"})

    run = Run.objects.get()
    assert run.compute == {"node_count": 2, "gpus_per_node": 8}
    assert run.max_restarts == 3


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"recipe": "rm -rf"}, "recipe", "Select a valid choice"),
        ({"executor": "moon"}, "executor", "Select a valid choice"),
        ({"model_parameters": '{"max_steps": 0}'}, "model_parameters", "max_steps: 0 is less than the minimum of 1"),
        ({"model_parameters": "not JSON"}, "model_parameters", "This is not valid JSON"),
        ({"hyperparameters": '{"learning_rate": "high"}'}, "hyperparameters", "is not of type"),
        ({"node_count": "0"}, "node_count", "greater than or equal to 1"),
        ({"gpus_per_node": "65"}, "gpus_per_node", "less than or equal to 64"),
        ({"max_restarts": "101"}, "max_restarts", "less than or equal to 100"),
        ({"dataset": "x" * 2001}, "dataset", "no more than 2000 characters"),
    ],
)
def test_bad_value_is_told_beside_its_field_and_nothing_is_kept(browse, place, editor, changes, field, sentence):
    browser = browse()
    before = everything()

    answer = browser.post(place, {**TYPED, **changes})

    assert answer.status_code == 400
    assert sentence in " ".join(answer.context["form"].errors[field])
    assert everything() == before


def test_nothing_is_launched_in_an_archived_project(browse, place, project, editor):
    archive_project(project=project)

    answer = browse().post(place, TYPED)

    assert answer.status_code == 409
    assert "The project is archived" in text_of(answer)
    assert not Run.objects.exists()


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("stranger", 404), ("anonymous", 302)])
def test_launching_is_for_editors(browse, place, role, status):
    browser = browse(role)

    assert browser.post(place, TYPED).status_code == status
    assert not Run.objects.exists()


def test_form_starts_with_the_run_to_repeat(browse, project, place, editor):
    run = new_run(project, name="again", model_parameters={"max_steps": 77}, compute={"node_count": 3})

    form = browse().get(place, {"repeat": run.uid}).context["form"]

    assert form["name"].value() == "again"
    assert '"max_steps": 77' in form["model_parameters"].value()
    assert form["node_count"].value() == 3


@pytest.mark.parametrize("wanted", ["run_nothere", "", "\0", "'"])
def test_repeating_what_is_not_there_is_not_found(browse, place, editor, wanted):
    assert browse().get(place, {"repeat": wanted}).status_code == 404


def test_repeating_a_run_of_another_project_is_not_found(browse, place, editor):
    elsewhere = new_run(new_project())

    assert browse().get(place, {"repeat": elsewhere.uid}).status_code == 404


def test_page_lists_what_recipes_take(browse, place, editor):
    text = text_of(browse().get(place))

    assert "steps_per_second" in text
    assert "n_layer" in text
