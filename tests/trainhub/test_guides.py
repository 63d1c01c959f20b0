"""The guides in docs/ show what is run."""

from pathlib import Path

import pytest

from runs.executors.slurm_words import REASONS

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "tests" / "clients" / "scripts"
GUIDE = (ROOT / "docs" / "trainers.md").read_text()


def test_the_program_that_logs_to_mlflow_stands_in_the_guide_as_it_is_run():
    assert f"```python\n{(SCRIPTS / 'plain.py').read_text()}```" in GUIDE


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.name)
def test_every_script_that_is_run_is_named_in_the_guide(script):
    assert f"../tests/clients/scripts/{script.name}" in GUIDE


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_of_slurm_is_explained_in_the_guide_as_on_the_page(reason):
    assert f"| `{reason}` | {REASONS[reason]} |\n" in (ROOT / "docs" / "executors.md").read_text()
