"""Recipes and executors over the API."""

import pytest

from runs.registry import executors
from tests.factories import new_attempt, new_run

pytestmark = pytest.mark.django_db


def test_the_shipped_recipes_are_listed_with_their_schemas(as_viewer):
    shown = {item["name"]: item for item in as_viewer.call("GET", "/recipes").json()}

    assert shown.keys() >= {"hf-sft", "script", "simulate", "tiny-gpt"}
    assert (shown["simulate"]["simulated"], shown["simulate"]["is_default"]) == (True, True)
    assert (shown["simulate"]["is_set_up"], shown["hf-sft"]["setup"]) == (True, "make hf-sft")
    assert shown["tiny-gpt"]["hyperparameters"]["properties"]["learning_rate"]["title"]


def test_no_recipe_shows_its_command_or_folder(as_viewer):
    answer = as_viewer.call("GET", "/recipes")

    assert {"command", "folder", "python", "environment"}.isdisjoint(answer.json()[0])
    assert b"train.py" not in answer.content


def test_one_recipe_is_shown_as_in_the_list(as_viewer):
    listed = {item["name"]: item for item in as_viewer.call("GET", "/recipes").json()}

    assert as_viewer.call("GET", "/recipes/tiny-gpt").json() == listed["tiny-gpt"]


@pytest.mark.parametrize("name", ["none-such", "SIMULATE", "-", "simulate-"])
def test_an_unknown_recipe_is_404(as_viewer, name):
    assert as_viewer.call("GET", f"/recipes/{name}").status_code == 404


def test_executors_say_what_they_have_and_what_is_in_use(as_viewer, project):
    new_attempt(project=project)
    new_run(project)

    local = as_viewer.call("GET", "/executors").json()[0]

    assert (local["name"], local["slots"], local["slots_in_use"]) == ("local", 4, 1)
    assert (local["kind"], local["is_default"], local["has_queue"], local["waiting"]) == ("local", True, False, 1)
    assert local.keys() >= {"name", "slots", "slots_in_use", "gpus", "gpus_in_use", "problems"}


def test_an_executor_says_why_it_cannot_be_used_to_operators_in_full(as_viewer, as_operator, monkeypatch):
    assert as_viewer.call("GET", "/executors").json()[0]["problems"] == []
    monkeypatch.setattr(type(executors()["local"]), "problems", lambda self: ["The disk is full."])

    told = [reader.call("GET", "/executors").json()[0]["problems"] for reader in (as_viewer, as_operator)]

    assert told == [["An operator must see to this executor."], ["The disk is full."]]
