"""Recipe folders: read, checked, and their schemas applied."""

import os
import sys
from pathlib import Path

import pytest

from runs.node.views import command_of
from runs.recipes import RecipeError, check_values, find_recipes, known_to, load_recipe, with_defaults, with_digest
from runs.registry import look_for_recipes, look_for_recipes_with_digests, recipe_to_run
from trainhub.errors import InvalidInput

GOOD = """
title = "A recipe"
command = ["{python}", "{recipe}/train.py"]

[hyperparameters]
type = "object"
additionalProperties = false
required = ["batch_size"]

[hyperparameters.properties.batch_size]
type = "integer"
minimum = 1

[hyperparameters.properties.learning_rate]
type = "number"
default = 0.1
multipleOf = 0.1
"""


def checkpoints(table):
    return f"checkpoints = {{ {table} }}\n{GOOD}"


@pytest.fixture
def make(tmp_path):
    def write(declaration=GOOD, name="mine"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "recipe.toml").write_text(declaration)
        return folder

    return write


def test_a_folder_becomes_a_recipe(make):
    recipe = load_recipe(make())

    assert (recipe.name, recipe.title, recipe.executors) == ("mine", "A recipe", ("local",))
    assert (recipe.grace_seconds, recipe.max_restarts, recipe.simulated) == (30, 0, False)
    assert recipe.snapshot()["command"] == ["{python}", "{recipe}/train.py"]


@pytest.mark.parametrize(
    ("declaration", "problem"),
    [
        ("title = ", "cannot be read"),
        ("\x00", "cannot be read"),
        ('title = "x"', "title or command is missing"),
        ('title = "x"\ncommand = "sh -c evil"', "command must be a list"),
        ('title = "x"\ncommand = []', "command must be a list"),
        ('title = "x"\ncommand = [1]', "command must be a list"),
        ('command = ["x"]', "title or command is missing"),
        ('title = "x"\ncommand = ["x"]\nsetup = "make x"', "setup needs python"),
        ('title = "x"\ncommand = ["x"]\nshell = true', "unknown keys: shell"),
        ('title = "x"\ncommand = ["x"]\n[hyperparameters]\ntype = "nonsense"', "not a JSON Schema"),
        (GOOD + "minimum = 1\n", "a default breaks its own schema"),
        (GOOD.replace("default = 0.1", "default = 2024-01-02"), "holds what JSON cannot"),
        (checkpoints('interval = "batch_size"'), "checkpoints must have interval"),
        (checkpoints('interval = [], steps = "batch_size"'), "checkpoints must have interval"),
        (checkpoints('interval = "batch_size", steps = 5'), "checkpoints must have interval"),
        (checkpoints('interval = ["batch_size", "save"], steps = "max"'), "no parameter of this recipe: max, save"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(make, declaration, problem):
    with pytest.raises(RecipeError, match=problem):
        load_recipe(make(declaration))


@pytest.mark.parametrize(
    "line",
    [
        'name = "other"',
        'folder = "/"',
        'digest = "0"',
        "description = 1",
        "python = []",
        "setup = true",
        'simulated = "yes"',
        "reserves_compute = 1",
        'grace_seconds = "30"',
        "grace_seconds = -1",
        "grace_seconds = inf",
        "grace_seconds = nan",
        "max_restarts = 1.5",
        "max_restarts = 101",
        "no_restart_exit_codes = 2",
        "no_restart_exit_codes = [0]",
        "no_restart_exit_codes = [256]",
        "no_restart_exit_codes = [true]",
        'executors = "local"',
        "executors = [1]",
        "checkpoint_pattern = 1",
        "environment = 1",
        "environment = {A = 1}",
        "hyperparameters = 5",
        "model_parameters = []",
        "hyperparameters = {properties = 1}",
        "hyperparameters = {properties = {a = 1}}",
        "hyperparameters = {properties = {a = {pattern = '('}}}",
    ],
)
def test_a_key_of_another_kind_is_a_problem_of_that_recipe_alone(make, tmp_path, line):
    make()
    broken = make(f'title = "x"\ncommand = ["x"]\n{line}', name="broken")

    found, problems = find_recipes([tmp_path])

    assert (list(found), list(problems)) == (["mine"], [str(broken)])


def test_a_changed_declaration_counts_at_once(make):
    folder = make()
    before = load_recipe(folder)
    (folder / "recipe.toml").write_text(GOOD.replace("A recipe", "Another title"))

    assert (before.title, load_recipe(folder).title) == ("A recipe", "Another title")


def test_a_recipe_may_say_when_it_saves(make):
    recipe = load_recipe(make(checkpoints('interval = "batch_size", steps = "batch_size"')))

    assert recipe.snapshot()["checkpoints"] == {"interval": "batch_size", "steps": "batch_size"}


OWN_INTERPRETER = f'python = "{{recipe}}/.venv/bin/python"\nsetup = "make mine"\n{GOOD}'


def test_a_recipe_without_setup_is_set_up(make):
    assert load_recipe(make(f'python = "/none/such"\n{GOOD}')).is_set_up


def test_a_recipe_is_set_up_when_the_interpreter_of_its_own_is_there(make):
    folder = make(OWN_INTERPRETER)
    digest, was_set_up = with_digest(load_recipe(folder)).digest, load_recipe(folder).is_set_up

    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)

    recipe = with_digest(load_recipe(folder))
    assert (was_set_up, recipe.is_set_up) == (False, True)
    assert recipe.digest == digest


def test_the_interpreter_of_a_recipe_may_lie_in_its_folder(make):
    recipe = load_recipe(make(OWN_INTERPRETER))

    assert command_of(recipe.snapshot())[0] == f"{recipe.folder}/.venv/bin/python"


@pytest.mark.parametrize("name", ["Upper", "a b", "-x", "x" * 65, "a.b"])
def test_a_folder_with_an_odd_name_is_no_recipe(make, name):
    with pytest.raises(RecipeError, match="folder's name"):
        load_recipe(make(name=name))


def test_a_schema_may_be_true(make):
    recipe = load_recipe(make('title = "x"\ncommand = ["x"]\n[hyperparameters.properties]\nlr = true'))

    assert with_defaults(recipe.hyperparameters, {"lr": 1}) == {"lr": 1}


@pytest.fixture
def unreadable(make, tmp_path, settings, monkeypatch):
    """A recipe folder with a file that cannot be read; every other file can be."""
    folder = make()
    (folder / "secret.py").touch()
    settings.RECIPE_FOLDERS = [*settings.RECIPE_FOLDERS, tmp_path]
    read_bytes = Path.read_bytes

    def refuse(path):
        if path.name == "secret.py":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    return folder


def test_a_file_that_cannot_be_read_is_a_problem_of_its_recipe_alone(unreadable):
    found, problems = look_for_recipes_with_digests()

    assert "simulate" in found
    assert "mine" not in found
    assert "cannot be read" in problems[str(unreadable)]


def test_a_recipe_that_cannot_be_read_is_not_run(unreadable):
    with pytest.raises(InvalidInput, match="cannot be read: Permission denied"):
        recipe_to_run("mine")


def test_looking_for_recipes_reads_none_of_their_programs(unreadable):
    recipes, problems = look_for_recipes()

    assert recipes["mine"].digest == ""
    assert problems == {}


def test_a_file_whose_name_is_no_utf_8_counts_like_any_other(make):
    folder = make()
    before = with_digest(load_recipe(folder)).digest

    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("x")

    assert with_digest(load_recipe(folder)).digest != before


def test_a_folder_whose_name_is_no_utf_8_is_a_problem_that_can_be_shown(make, tmp_path):
    make()
    make(name=os.fsdecode(b"caf\xe9"))

    found, problems = find_recipes([tmp_path])

    assert list(found) == ["mine"]
    assert list(problems) == [f"{tmp_path}/caf\N{REPLACEMENT CHARACTER}"]


def test_a_broken_folder_does_not_hide_the_others(make, tmp_path):
    make()
    broken = make("title = ", name="broken")

    found, problems = find_recipes([tmp_path])

    assert list(found) == ["mine"]
    assert list(problems) == [str(broken)]


def test_of_two_with_one_name_the_first_counts(make, tmp_path):
    first = make()
    second = tmp_path / "more" / "mine"
    second.mkdir(parents=True)
    (second / "recipe.toml").write_text(GOOD)

    found, problems = find_recipes([tmp_path, tmp_path / "more"])

    assert found["mine"].folder == str(first)
    assert problems == {str(second): "another folder holds a recipe of this name"}


def test_a_folder_that_does_not_exist_holds_nothing(tmp_path):
    assert find_recipes([tmp_path / "none"]) == ({}, {})


@pytest.mark.parametrize(("file", "changes"), [("train.py", True), (".hidden", False), ("__pycache__/x.pyc", False)])
def test_the_digest_follows_the_program(make, file, changes):
    folder = make()
    before = with_digest(load_recipe(folder)).digest

    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text("print()")

    assert (with_digest(load_recipe(folder)).digest != before) is changes


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "'batch_size' is a required property"),
        ({"batch_size": 0}, "batch_size: 0 is less than the minimum of 1"),
        ({"batch_size": "8"}, "batch_size: '8' is not of type 'integer'"),
        ({"batch_size": True}, "batch_size: True is not of type 'integer'"),
        ({"batch_size": 8, "unknown": 1}, "Additional properties are not allowed ('unknown' was unexpected)"),
        ({"batch_size": 8, "learning_rate": 0.05}, "learning_rate: 0.05 is not a multiple of 0.1"),
        ({"batch_size": 8, "learning_rate": [1]}, "learning_rate: [1] is not of type 'number'"),
    ],
)
def test_a_value_that_the_schema_refuses_is_named(make, values, problem):
    with pytest.raises(InvalidInput) as refusal:
        check_values(load_recipe(make()), hyperparameters=values)

    assert refusal.value.fields == {"hyperparameters": [problem]}


@pytest.mark.parametrize("value", [-0.0, 2**63, 1e20])
def test_a_number_at_the_edge_breaks_no_rule(make, value):
    check_values(load_recipe(make()), hyperparameters={"batch_size": 1, "learning_rate": value})


def test_many_problems_are_cut_to_twenty(make):
    recipe = load_recipe(make(GOOD.replace("additionalProperties = false", 'additionalProperties = {type = "null"}')))

    with pytest.raises(InvalidInput) as refusal:
        check_values(recipe, hyperparameters={f"p{number}": 1 for number in range(100)})

    assert len(refusal.value.fields["hyperparameters"]) == 20


def test_defaults_fill_in_and_never_overwrite():
    schema = {"properties": {"a": {"default": 1}, "b": {"default": 2}, "c": {}}}

    assert with_defaults(schema, {"b": 3}) == {"a": 1, "b": 3}
    assert with_defaults({}, {"b": 3}) == {"b": 3}


@pytest.mark.parametrize(("strict", "kept"), [(False, {"a": 1}), (True, {"a": 1, "other": 2})])
def test_a_strict_schema_keeps_what_it_knows(strict, kept):
    schema = {"properties": {"a": {}}, "additionalProperties": strict}

    assert known_to(schema, {"a": 1, "other": 2}) == kept
