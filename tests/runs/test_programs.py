"""Programs: folders with a train.py that become recipes by the declaration of `script`."""

import os
import sys

import pytest
from django.conf import settings as hub_settings

from runs.models import Run
from runs.programs import find_programs
from runs.recipes import load_recipe, with_digest
from runs.registry import look_for_recipes

DECLARATION = hub_settings.PROGRAM_DECLARATION


@pytest.fixture
def make(tmp_path):
    def write(name="ours", **files):
        folder = tmp_path / name
        folder.mkdir()
        for file, text in {"train.py": "print()", **files}.items():
            (folder / file).write_text(text)
        return folder

    return write


def found_in(tmp_path):
    return find_programs([tmp_path], declared_by=DECLARATION)


def test_a_folder_with_a_program_becomes_a_recipe_of_its_own(make, tmp_path):
    folder = make()

    program = found_in(tmp_path)[0]["ours"]

    declared = load_recipe(DECLARATION)
    assert (program.title, program.folder, program.is_set_up) == ("ours", str(folder), True)
    assert (program.command, program.hyperparameters) == (declared.command, declared.hyperparameters)


def test_the_digest_follows_the_program(make, tmp_path):
    folder = make()
    before = with_digest(found_in(tmp_path)[0]["ours"]).digest

    (folder / "train.py").write_text("print(1)")

    after = with_digest(found_in(tmp_path)[0]["ours"]).digest
    assert after not in {before, with_digest(load_recipe(DECLARATION)).digest}


def test_a_program_with_requirements_is_set_up_when_its_environment_is_made(make, tmp_path):
    folder = make(**{"requirements.txt": "torch"})
    program = found_in(tmp_path)[0]["ours"]
    was_set_up = program.is_set_up

    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)

    assert (was_set_up, program.is_set_up) == (False, True)
    assert program.setup == "make programs"


def test_a_folder_with_a_declaration_is_a_recipe_and_no_program(make, tmp_path, settings):
    make(**{"recipe.toml": 'title = "Declared"\ncommand = ["{python}"]'})
    settings.PROGRAM_FOLDERS = [tmp_path]

    assert found_in(tmp_path) == ({}, {})
    assert look_for_recipes()[0]["ours"].title == "Declared"


@pytest.mark.parametrize("name", ["Upper", "a b", "a.b"])
def test_a_folder_with_an_odd_name_is_a_problem(make, tmp_path, name):
    folder = make(name)

    programs, problems = found_in(tmp_path)

    assert programs == {}
    assert "folder's name" in problems[str(folder)]


def test_the_declaration_is_read_once_for_all_programs(make, tmp_path, monkeypatch):
    for name in ("one", "two", "three"):
        make(name)
    read = []
    monkeypatch.setattr("runs.programs.load_recipe", lambda folder: read.append(folder) or load_recipe(folder))

    assert len(found_in(tmp_path)[0]) == 3
    assert read == [DECLARATION]


def test_a_broken_declaration_is_a_problem_of_every_program(make, tmp_path):
    folders = [make("one"), make("two")]

    programs, problems = find_programs([tmp_path], declared_by=tmp_path / "none")

    assert programs == {}
    assert list(problems) == [str(folder) for folder in folders]


def test_names_that_are_no_utf_8_break_nothing(make, tmp_path):
    (make() / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    make(os.fsdecode(b"caf\xe9"))

    programs, problems = found_in(tmp_path)

    assert with_digest(programs["ours"]).digest
    assert list(problems) == [f"{tmp_path}/caf\N{REPLACEMENT CHARACTER}"]


def test_of_two_programs_with_one_name_the_first_counts(make, tmp_path):
    first = make()
    (tmp_path / "more").mkdir()
    second = make("more/ours")

    programs, problems = find_programs([tmp_path, tmp_path / "more"], declared_by=DECLARATION)

    assert programs["ours"].folder == str(first)
    assert problems == {str(second): "another folder holds a program of this name"}


def test_a_program_never_takes_the_name_of_a_recipe(make, tmp_path, settings):
    folder = make("simulate")
    settings.PROGRAM_FOLDERS = [tmp_path]

    recipes, problems = look_for_recipes()

    assert recipes["simulate"].simulated
    assert problems == {str(folder): "another folder holds a recipe of this name"}


@pytest.mark.django_db
def test_a_program_takes_any_parameters_and_no_command(make, tmp_path, settings, as_editor, project):
    make()
    settings.PROGRAM_FOLDERS = [tmp_path]
    body = {"name": "x", "recipe": "ours", "hyperparameters": {"depth": [1, 2]}}

    answers = [
        as_editor.call("POST", f"/projects/{project.uid}/runs", {**body, **more}) for more in ({}, {"command": ["x"]})
    ]

    assert [answer.status_code for answer in answers] == [201, 400]
    run = Run.objects.get()
    assert (run.recipe, run.hyperparameters) == ("ours", {"depth": [1, 2]})
    assert run.recipe_snapshot["command"] == ["{python}", "-u", "{recipe}/train.py"]
