"""The seed's contract, run as its owner wrote it against a hub made by the README's commands."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.end_to_end.hub import ROOT, Hub


def test_the_seed_contract_passes_against_a_running_hub(shared_hub: Hub) -> None:
    environment = {**os.environ, "TRAINHUB_URL": shared_hub.url, "TRAINHUB_TOKEN": shared_hub.token}
    contract = ROOT / "tests" / "contract" / "seed_contract.py"
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:django", "-p", "no:cacheprovider"]
    command += ["--noconftest"]  # it stands alone; those of this tree are for Django

    done = subprocess.run(
        [*command, str(contract)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stdout
    assert "33 passed" in done.stdout
