"""Programs: folders with a `train.py` and no `recipe.toml`, which an operator put on the server.

Each becomes a recipe of its own, by the declaration of the shipped recipe `script`: so a run records which program it
was and the digest of its files. No request can introduce one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from runs.recipes import NAME, Recipe, RecipeError, load_recipe, shown_folder

PROGRAM = "train.py"
INTERPRETER = "{recipe}/.venv/bin/python"
SETUP = "make programs"
DESCRIPTION = "A program that the operator of this hub put here. It takes the parameters that it knows."


def load_program(folder: Path, declaration: Recipe) -> Recipe:
    """Return the program in `folder` as a recipe, declared as `declaration` is.

    Its own environment is used when it has one, and has to be made first when it names requirements.
    Raises: RecipeError.
    """
    if not NAME.fullmatch(folder.name):
        raise RecipeError("the folder's name must be lower-case letters, digits, - and _")
    has_own = (folder / "requirements.txt").exists() or (folder / ".venv").exists()
    return replace(
        declaration,
        name=folder.name,
        folder=str(folder),
        title=folder.name,
        description=DESCRIPTION,
        python=INTERPRETER if has_own else declaration.python,
        setup=SETUP if has_own else declaration.setup,
    )


def find_programs(roots: Iterable[Path], declared_by: Path) -> tuple[dict[str, Recipe], dict[str, str]]:
    """Return the programs below `roots` by name, and for the unusable ones the problem by folder.

    `declared_by` is the recipe folder by which they run. Of two programs with one name the first found counts.
    """
    programs: dict[str, Recipe] = {}
    problems: dict[str, str] = {}
    found = [path.parent for root in roots for path in sorted(root.glob(f"*/{PROGRAM}"))]
    folders = [folder for folder in found if not (folder / "recipe.toml").exists()]  # those are found as recipes
    if not folders:
        return programs, problems
    try:
        declaration = load_recipe(declared_by)
    except RecipeError as error:
        return programs, {shown_folder(folder): str(error) for folder in folders}
    for folder in folders:
        try:
            program = load_program(folder, declaration)
        except RecipeError as error:
            problems[shown_folder(folder)] = str(error)
            continue
        if program.name in programs:
            problems[shown_folder(folder)] = "another folder holds a program of this name"
        else:
            programs[program.name] = program
    return programs, problems
