"""environment.sh: makes the environment of a recipe or program; here of a package that needs no network."""

import os
import subprocess
import sys
import zipfile

import pytest

from .trainer_process import RECIPES

WHEEL = {
    "greeting.py": "def main():\n    print('hello')\n",
    "greeting-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1\n",
    "greeting-1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "greeting-1.dist-info/entry_points.txt": "[console_scripts]\ngreet = greeting:main\n",
    "greeting-1.dist-info/RECORD": "",
}


@pytest.fixture
def folder(tmp_path):
    """A program's folder whose requirements are one package with a console script."""
    wheel = tmp_path / "greeting-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for name, text in WHEEL.items():
            file.writestr(name, text)
    program = tmp_path / "ours"
    program.mkdir()
    (program / "requirements.txt").write_text(f"{wheel}\n")
    return program


def make(folder):
    return subprocess.run(
        [RECIPES / "environment.sh", folder],
        env=os.environ | {"PYTHON": sys.executable, "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def environments(folder):
    return {path.name for path in folder.glob(".venv*")}


def test_an_environment_is_a_link_whose_scripts_run_and_is_made_once(folder):
    assert make(folder).returncode == 0

    target = os.readlink(folder / ".venv")
    assert environments(folder) == {".venv", target}
    assert subprocess.check_output([folder / ".venv/bin/greet"], text=True) == "hello\n"
    again = make(folder)
    assert (again.returncode, again.stderr, os.readlink(folder / ".venv")) == (0, "", target)


def test_the_one_before_stays_and_older_ones_go(folder):
    for name in (".venv-1", ".venv-2"):
        (folder / name).mkdir()
    (folder / ".venv").symlink_to(".venv-2")

    assert make(folder).returncode == 0

    assert environments(folder) == {".venv", ".venv-2", os.readlink(folder / ".venv")}


def test_a_folder_that_was_the_environment_gives_way_and_stays(folder):
    (folder / ".venv").mkdir()
    (folder / ".venv" / "old").touch()

    assert make(folder).returncode == 0

    target = os.readlink(folder / ".venv")
    assert environments(folder) == {".venv", target, f"{target}-before"}
    assert (folder / f"{target}-before" / "old").exists()


def test_what_cannot_be_installed_changes_nothing(folder):
    (folder / ".venv-1").mkdir()
    (folder / ".venv").symlink_to(".venv-1")
    (folder / "requirements.txt").write_text("no-such-package-here\n")

    refused = make(folder)

    assert refused.returncode != 0
    assert "no-such-package-here" in refused.stderr
    assert (environments(folder), os.readlink(folder / ".venv")) == ({".venv", ".venv-1"}, ".venv-1")
