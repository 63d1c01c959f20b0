"""Parameters as rows: what lists can find a run by."""

from importlib import import_module

import pytest
from django.apps import apps

from runs.models import RunParameter
from runs.parameters import MAX_ROWS, searchable
from tests.factories import new_run


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        ({"rate": 0.1, "epochs": 3}, [("rate", 0.1, None), ("epochs", 3.0, None)]),
        ({"optimizer": "adam", "empty": ""}, [("optimizer", None, "adam"), ("empty", None, "")]),
        ({"packing": True, "lora": False}, [("packing", None, "true"), ("lora", None, "false")]),
        ({"lora": {"rank": 8, "deep": {"er": "x"}}}, [("lora.rank", 8.0, None), ("lora.deep.er", None, "x")]),
        ({"a.b": 1, "a": {"b": 2}}, [("a.b", 1.0, None)]),
        ({"none": None, "list": [1], "huge": 10**400, "long": "x" * 251, "x" * 251: 1}, []),
        ({"long": "x" * 250, "x" * 250: 1}, [("long", None, "x" * 250), ("x" * 250, 1.0, None)]),
        ({}, []),
    ],
)
def test_numbers_texts_and_flags_can_be_searched(values, rows):
    assert searchable(values) == rows


def test_a_thousand_parameters_of_a_group_can_be_searched():
    assert len(searchable({f"p{number}": number for number in range(MAX_ROWS + 5)})) == MAX_ROWS


@pytest.mark.django_db
def test_a_run_is_stored_with_its_effective_parameters(project):
    run = new_run(project, recipe="tiny-gpt", hyperparameters={"learning_rate": 0.25})

    rows = {(row.group, row.name): row.number for row in RunParameter.objects.filter(run=run)}

    assert rows["hyperparameters", "learning_rate"] == 0.25
    assert rows["model_parameters", "n_layer"] == 4


@pytest.mark.django_db
def test_deleting_a_run_deletes_its_parameters(project):
    new_run(project, recipe="tiny-gpt").delete()

    assert not RunParameter.objects.exists()


@pytest.mark.django_db
def test_runs_from_before_get_their_parameters_by_migration_and_only_once(project, monkeypatch):
    migration = import_module("runs.migrations.0006_fill_run_parameters")
    monkeypatch.setattr(migration, "STEP", 2)
    [new_run(project, recipe="tiny-gpt", hyperparameters={"learning_rate": 0.25}) for _ in range(5)]
    written = list(RunParameter.objects.order_by("run", "group", "name").values_list("run", "name", "number", "text"))
    RunParameter.objects.exclude(run=project.runs.first()).delete()

    migration.fill(apps, None)

    rows = RunParameter.objects.order_by("run", "group", "name")
    assert list(rows.values_list("run", "name", "number", "text")) == written
