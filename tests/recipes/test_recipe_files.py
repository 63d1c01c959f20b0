"""What every shipped recipe's recipe.toml must hold."""

import pytest
from jsonschema import Draft202012Validator

from tests.recipes.trainer_process import RECIPES, read_recipe, schema_defaults

OWN_RECIPES = ["hf-sft", "script", "simulate", "tiny-gpt"]
TABLES = ["model_parameters", "hyperparameters"]
# The body a client that knows nothing of recipes sends.
PLAIN_MODEL_PARAMETERS = {"max_steps": 10000, "eval_interval": 500}
PLAIN_HYPERPARAMETERS = {"learning_rate": 2e-5, "batch_size": 8, "gradient_accumulation": 4}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("recipe", OWN_RECIPES)
def test_tables_are_valid_json_schemas(recipe, table):
    Draft202012Validator.check_schema(read_recipe(recipe)[table])


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("recipe", OWN_RECIPES)
def test_defaults_satisfy_their_own_schema(recipe, table):
    schema = read_recipe(recipe)[table]

    Draft202012Validator(schema).validate(schema_defaults(schema))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("recipe", OWN_RECIPES)
def test_every_property_has_a_title_a_description_and_a_type(recipe, table):
    properties = read_recipe(recipe)[table]["properties"].values()

    assert all({"title", "description", "type"} <= entry.keys() for entry in properties)


@pytest.mark.parametrize("recipe", OWN_RECIPES)
def test_the_command_names_a_file_of_the_recipe(recipe):
    command = read_recipe(recipe)["command"]

    assert (RECIPES / recipe / command[-1].removeprefix("{recipe}/")).is_file()


def test_simulate_accepts_a_plain_body_as_it_is():
    recipe = read_recipe("simulate")

    Draft202012Validator(recipe["model_parameters"]).validate(PLAIN_MODEL_PARAMETERS | {"anything": "else"})
    Draft202012Validator(recipe["hyperparameters"]).validate(PLAIN_HYPERPARAMETERS | {"anything": "else"})


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("model_parameters", {"n_embd": 1024}),
        ("model_parameters", {"max_steps": 0}),
        ("model_parameters", {"unknown": 1}),
        ("hyperparameters", {"batch_size": 257}),
        ("hyperparameters", {"learning_rate": 0}),
        ("hyperparameters", {"beta2": 1}),
    ],
)
def test_tiny_gpt_refuses_values_out_of_range(table, values):
    assert not Draft202012Validator(read_recipe("tiny-gpt")[table]).is_valid(values)
