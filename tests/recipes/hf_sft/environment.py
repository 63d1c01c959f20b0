"""The environment of hf-sft, which the tests' own interpreter has not: whether it is there, and a process in it."""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.recipes.trainer_process import RECIPES

RECIPE = RECIPES / "hf-sft"
PYTHON = RECIPE / ".venv" / "bin" / "python"
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def need_environment() -> None:
    """Skip the test without the environment; fail it in CI."""
    if PYTHON.exists():
        return
    reason = "the environment of hf-sft is not made: make hf-sft"
    pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def once(place: Path, make: Callable[[Path], None]) -> Path:
    """Return `place`, filled by whichever test process comes first."""
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            unfinished = place.with_name(f"{place.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(place)
    return place


class Inside:
    """A process of the recipe's interpreter that runs the functions of inside.py, one after the other."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="hf-sft-home-")
        self._process = subprocess.Popen(
            [PYTHON, "-u", Path(__file__).with_name("inside.py")],
            env=os.environ
            | ONE_THREAD
            | {"PYTHONPATH": str(RECIPE), "HF_HUB_OFFLINE": "1", "HF_HOME": self._home.name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, function: str, **arguments: Any) -> Any:
        """Return what the function returns; fails with what it printed when it raises."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([function, arguments], default=str), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)
        self._home.cleanup()
