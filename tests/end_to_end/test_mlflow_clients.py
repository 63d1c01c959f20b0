"""MLflow's own clients on a real hub: the checks in tests/clients/protocol, in the environment of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.clients import CLIENTS, People, make_people, outside, python_of, run_program, variables
from tests.end_to_end.hub import Hub

CHECKS = CLIENTS / "protocol"


@pytest.fixture(scope="session", params=["mlflow-2", "mlflow-3"])
def python(request: pytest.FixtureRequest) -> str:
    """The interpreter of a client's environment; asked for first, so that without it no hub is started."""
    return python_of(request.param)


@pytest.fixture(scope="module")
def people(shared_hub: Hub) -> People:
    return make_people(shared_hub)


def test_every_check_passes_with_the_client(python: str, shared_hub: Hub, people: People, tmp_path: Path) -> None:
    command = [python, "-m", "pytest", "-q", "--tb=short", "-W", "ignore", "-c", "/dev/null", "-p", "no:cacheprovider"]
    command += [f"--confcutdir={CHECKS}", f"--rootdir={CHECKS}", "-o", "python_files=check_*.py", str(CHECKS)]
    tokens = {"TRAINHUB_SHARED": people.shared, "TRAINHUB_VIEWER": people.vera, "TRAINHUB_STRANGER": people.sten}

    said = run_program(command, variables(tmp_path, **outside(shared_hub, people.mara, **tokens)), tmp_path, 300)

    assert " passed" in said
