"""The programs of docs/examples, run as the documentation shows them, in the environment of hf-sft."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.recipes.hf_sft.environment import ONE_THREAD, PYTHON, need_environment
from tests.recipes.trainer_process import RECIPES

EXAMPLES = RECIPES.parent / "docs" / "examples"
ENDLESS, SHORT = {"max_steps": 1_000_000}, {"max_steps": 450}
INSIDE = {"environment": ONE_THREAD, "python": PYTHON}


@pytest.fixture(autouse=True)
def environment() -> None:
    """The packages that the examples need are those of hf-sft, but for Lightning."""
    need_environment()


@pytest.fixture
def lightning() -> None:
    """Skip without Lightning; fail in CI."""
    found = subprocess.run([PYTHON, "-c", "import lightning"], check=False, capture_output=True).returncode == 0
    if not found and os.environ.get("CI"):
        pytest.fail("Lightning is missing: .ci/run installs docs/examples/lightning/requirements.txt")
    if not found:
        pytest.skip("Lightning is not installed in the environment of hf-sft")


def stop_and_resume(launch, *arguments: str, **options) -> tuple[list[Path], dict[int, float]]:
    """Stop a training after step 50, resume it to step 450; returns the second part's checkpoints and losses."""
    stopped = launch(*arguments, output="stopped", model_parameters=ENDLESS, **INSIDE, **options)
    stopped.wait_for_step(50)
    stopped.terminate()
    stopped.exit_code()  # that of torchrun tells of the signal; after a cancel it does not matter
    last = max(stopped.output_dir.glob("checkpoints/*step*"), key=lambda path: path.stat().st_mtime)
    resumed = launch(*arguments, output="resumed", model_parameters=SHORT, resume_from=last, **INSIDE, **options)
    resumed.expect_end()
    assert min(resumed.metric("loss")) > max(stopped.metric("loss")) - 10
    return sorted(resumed.output_dir.glob("checkpoints/*")), resumed.metric("loss")


@pytest.mark.usefixtures("lightning")
def test_the_lightning_program_stops_and_goes_on(launch):
    checkpoints, losses = stop_and_resume(launch, "script", folder=EXAMPLES / "lightning")

    assert checkpoints[-1].name == "last-step=450.ckpt"
    assert losses[450] < losses[min(losses)]


def test_the_torchrun_program_stops_and_goes_on(launch):
    checkpoints, losses = stop_and_resume(launch, str(EXAMPLES / "torchrun"))

    assert checkpoints[-1].name == "step-000450.pt"
    assert losses[450] < losses[min(losses)]
