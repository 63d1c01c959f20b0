"""Launching runs."""

import pytest
from django.test import override_settings

from runs.models import Run, TelemetryCounter
from tests.factories import everything, fresh, kinds, new_project

pytestmark = pytest.mark.django_db
SEED = {
    "name": "run-001",
    "description": "Fine-tune on curated dataset",
    "dataset": "s3://datasets/articles.jsonl",
    "model_parameters": {"max_steps": 10000, "eval_interval": 500},
    "hyperparameters": {"learning_rate": 2e-5, "batch_size": 32, "gradient_accumulation": 2},
    "compute": {"node_count": 2, "gpus_per_node": 8, "gpu_type": "A100-80GB"},
}


@pytest.fixture
def runs(project):
    return f"/projects/{project.uid}/runs"


def test_create_gives_back_what_was_sent(as_editor, project, runs):
    answer = as_editor.call("POST", runs, SEED)

    shown = answer.json()
    assert answer.status_code == 201
    assert {name: shown[name] for name in SEED} == SEED
    assert (shown["project_id"], shown["status"], shown["progress"]) == (project.uid, "queued", 0.0)
    assert (shown["metrics"], shown["artifacts"], shown["completed_at"]) == ({}, [], None)
    assert answer.headers["Location"] == f"http://testserver{runs}/{shown['id']}"


def test_a_new_run_is_queued_by_the_caller_with_one_event(as_editor, runs):
    created = as_editor.call("POST", runs, SEED).json()

    run = Run.objects.get(uid=created["id"])

    assert (created["created_by"], created["allowed"]) == ("edith", ["cancelled", "failed", "starting"])
    assert list(run.events.values_list("kind", "actor")) == [("queued", "edith")]
    assert TelemetryCounter.objects.filter(run=run).exists()


def test_a_run_without_a_recipe_is_a_simulation_and_says_so(as_editor, runs):
    created = as_editor.call("POST", runs, {"name": "x"}).json()

    assert (created["recipe"], created["simulated"], created["managed"]) == ("simulate", True, True)


def test_the_first_run_makes_the_project_active(as_editor, project, runs):
    as_editor.call("POST", runs, {"name": "x"})

    assert fresh(project).status == "active"


def test_the_recipes_defaults_are_shown_beside_what_was_asked_for(as_editor, runs):
    created = as_editor.call("POST", runs, {"name": "x", "hyperparameters": {"batch_size": 4}}).json()

    assert created["hyperparameters"] == {"batch_size": 4}
    assert created["config"]["hyperparameters"] == {"learning_rate": 2e-5, "batch_size": 4, "gradient_accumulation": 1}
    assert created["config"]["model_parameters"]["max_steps"] == 1000


def test_the_projects_defaults_fill_in_where_the_recipe_knows_them(admin, as_admin):
    defaults = {"learning_rate": 0.01, "unknown": 1}
    project = new_project(by=admin, default_recipe="tiny-gpt", default_hyperparameters=defaults)

    created = as_admin.call("POST", f"/projects/{project.uid}/runs", {"name": "x"}).json()

    assert (created["recipe"], created["simulated"]) == ("tiny-gpt", False)
    assert created["hyperparameters"] == {"learning_rate": 0.01}


def test_what_the_run_asks_for_wins_over_the_projects_defaults(admin, as_admin):
    project = new_project(by=admin, default_hyperparameters={"learning_rate": 0.01, "batch_size": 2})

    body = {"name": "x", "hyperparameters": {"batch_size": 4}}
    created = as_admin.call("POST", f"/projects/{project.uid}/runs", body).json()

    assert created["hyperparameters"] == {"learning_rate": 0.01, "batch_size": 4}


def test_the_run_keeps_the_recipe_as_it_was(as_editor, runs):
    created = as_editor.call("POST", runs, {"name": "x", "recipe": "tiny-gpt"}).json()

    run = Run.objects.get(uid=created["id"])

    assert run.recipe_snapshot["command"][0] == "{python}"
    assert (created["recipe_digest"], len(run.recipe_digest)) == (run.recipe_snapshot["digest"], 64)


def test_a_recipe_that_is_not_set_up_is_refused_and_says_what_to_do(as_editor, runs, settings, tmp_path):
    (tmp_path / "heavy").mkdir()
    declaration = 'title = "Heavy"\ncommand = ["{python}"]\npython = "{recipe}/.venv/bin/python"\nsetup = "make heavy"'
    (tmp_path / "heavy" / "recipe.toml").write_text(declaration)
    settings.RECIPE_FOLDERS = [tmp_path]

    answer = as_editor.call("POST", runs, {"name": "x", "recipe": "heavy"})

    assert answer.status_code == 400
    assert answer.json()["recipe"] == ["heavy is not set up yet: run make heavy on the hub's machine."]
    assert not Run.objects.exists()
    listed = as_editor.call("GET", "/recipes/heavy").json()
    assert (listed["is_set_up"], listed["setup"]) == (False, "make heavy")


def test_no_answer_shows_a_command_or_a_folder(as_editor, runs):
    created = as_editor.call("POST", runs, {"name": "x"})

    assert b"train.py" not in created.content
    assert b"/recipes" not in created.content


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": ["x"]}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "x", "recipe": "none-such"}, "recipe"),
        ({"name": "x", "recipe": "../simulate"}, "recipe"),
        ({"name": "x", "recipe": ["simulate"]}, "recipe"),
        ({"name": "x", "executor": "moon"}, "executor"),
        ({"name": "x", "executor": "local; rm -rf /"}, "executor"),
        ({"name": "x", "command": ["sh"]}, "command"),
        ({"name": "x", "environment": {"LD_PRELOAD": "x"}}, "environment"),
        ({"name": "x", "status": "completed"}, "status"),
        ({"name": "x", "progress": 1}, "progress"),
        ({"name": "x", "resumed_from": "ckpt_1"}, "resumed_from"),
        ({"name": "x", "dataset": "x" * 2001}, "dataset"),
        ({"name": "x", "dataset": {}}, "dataset"),
        ({"name": "x", "priority": 101}, "priority"),
        ({"name": "x", "priority": 1e400}, "priority"),
        ({"name": "x", "priority": "high"}, "priority"),
        ({"name": "x", "max_restarts": -1}, "max_restarts"),
        ({"name": "x", "compute": []}, "compute"),
        ({"name": "x", "compute": {"node_count": 0}}, "compute"),
        ({"name": "x", "compute": {"gpus_per_node": 65}}, "compute"),
        ({"name": "x", "compute": {"gpus_per_node": "many"}}, "compute"),
        ({"name": "x", "compute": {"partition": "x"}}, "compute"),
        ({"name": "x", "recipe": "tiny-gpt", "compute": {"node_count": 2}}, "compute"),
        ({"name": "x", "model_parameters": {"max_steps": 0}}, "model_parameters"),
        ({"name": "x", "model_parameters": {"max_steps": "many"}}, "model_parameters"),
        ({"name": "x", "model_parameters": {"steps_per_second": 1e300}}, "model_parameters"),
        ({"name": "x", "model_parameters": "x"}, "model_parameters"),
        ({"name": "x", "hyperparameters": {"learning_rate": -1}}, "hyperparameters"),
        ({"name": "x", "hyperparameters": {"learning_rate": None}}, "hyperparameters"),
        ({"name": "x", "recipe": "tiny-gpt", "hyperparameters": {"no_such_parameter": 1}}, "hyperparameters"),
        (["x"], "non_field_errors"),
    ],
)
def test_bad_input_is_400_and_nothing_is_stored(as_editor, runs, body, field):
    before = everything()

    answer = as_editor.call("POST", runs, orjson_safe(body))

    assert answer.status_code == 400
    assert answer.json().keys() & {field, "detail"}
    assert everything() == before


def orjson_safe(body):
    """JSON has no infinity; it is sent as the number that overflows to it."""
    return b'{"name": "x", "priority": 1e400}' if "inf" in repr(body) else body


def test_a_refusal_names_the_parameter_and_the_rule(as_editor, runs):
    answer = as_editor.call("POST", runs, {"name": "x", "model_parameters": {"max_steps": 0}})

    assert answer.json()["model_parameters"] == ["max_steps: 0 is less than the minimum of 1"]


def test_a_refusal_does_not_repeat_a_long_value(as_editor, runs):
    answer = as_editor.call("POST", runs, {"name": "x", "model_parameters": {"max_steps": "y" * 9_000}})

    assert answer.status_code == 400
    assert len(answer.content) < 1_000


@override_settings(DEFAULT_RECIPE="gone")
def test_an_installation_without_its_default_recipe_says_so(as_editor, runs):
    answer = as_editor.call("POST", runs, {"name": "x"})

    assert answer.status_code == 400
    assert "There is no such recipe" in answer.json()["recipe"][0]


def test_waiting_for_the_start_ends_when_the_time_is_over(as_editor, runs):
    answer = as_editor.call("POST", runs, {"name": "x"}, Prefer="wait=60")

    assert (answer.status_code, answer.json()["status"]) == (201, "queued")


def test_every_run_has_an_id_of_its_own(as_editor, runs):
    ids = {as_editor.call("POST", runs, {"name": "same"}).json()["id"] for _ in range(3)}

    assert len(ids) == 3
    assert kinds(Run.objects.first()) == ["queued"]
