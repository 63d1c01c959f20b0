"""Programs of others that log to a hub: where their environments are, and how they are run against it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.hub import ROOT, Hub

CLIENTS = ROOT / "tests" / "clients"
SCRIPTS = CLIENTS / "scripts"
INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR")

# A person with an experiment of her own, one who may look at it, and one who has no part in it.
MAKE_PEOPLE = """
import json
from projects.models import Project, Role
from projects.services import create_token
from tests.factories import add_member, new_project, new_user
mara = new_user("mara")
shared = new_project(by=mara, name="shared with vera")
people = {"mara": mara, "vera": add_member(shared, "vera", Role.VIEWER), "sten": new_user("sten")}
tokens = {name: create_token(user=user, name="client")[1] for name, user in people.items()}
print(json.dumps({"shared": shared.uid, **tokens}))
"""


@dataclass(frozen=True)
class People:
    """Tokens of an admin, a viewer and a stranger of the project `shared`."""

    shared: str
    mara: str
    vera: str
    sten: str


def make_people(hub: Hub) -> People:
    """Make the people on a hub."""
    return People(**json.loads(hub.manage("shell", "--no-imports", "-c", MAKE_PEOPLE)))


def python_of(name: str) -> str:
    """Return the interpreter of one of the environments; skip the test where it was not made, except in CI."""
    folder = ROOT / ".clients" / name
    if not (folder / "installed").exists():
        reason = f"the environment of the client {name} is not there (make test-clients)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return str(folder / "bin" / "python")


def variables(home: Path, **given: str) -> dict[str, str]:
    """Return the variables of a program that a person starts elsewhere: few, and nothing of this process's own."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**kept, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", **given}


def outside(hub: Hub, token: str, **given: str) -> dict[str, str]:
    """Return what connects a program outside the hub."""
    return {"MLFLOW_TRACKING_URI": f"{hub.url}/mlflow", "MLFLOW_TRACKING_TOKEN": token, **given}


def run_program(command: list[str], environment: dict[str, str], folder: Path, seconds: float = 120.0) -> str:
    """Run a program in a folder and return what it printed; fails, with that, when it fails."""
    done = subprocess.run(
        command, env=environment, cwd=folder, check=False, capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def write_recipe(folder: Path, name: str, program: Path, *, environment: dict[str, str] | None = None) -> None:
    """Make a recipe of a program that knows nothing of recipes."""
    lines = [
        f'title = "{name}"',
        f'command = ["{{python}}", "-u", "{program}"]',
        f'python = "{ROOT / ".clients" / "trainers" / "bin" / "python"}"',
        "[environment]",
        *(f"{variable} = {json.dumps(value)}" for variable, value in (environment or {}).items()),
    ]
    (folder / name).mkdir(parents=True)
    (folder / name / "recipe.toml").write_text("\n".join(lines))


def tracked(hub: Hub, run: str, token: str | None = None) -> dict[str, Any]:
    """Return a run as MLflow's clients read it, with its metrics, params and tags by key."""
    answer = hub.call("GET", f"/mlflow/api/2.0/mlflow/runs/get?run_id={run.rpartition('/')[2]}", token=token)
    assert answer.status == 200, answer.body
    found = answer.body["run"]
    data = {what: {item["key"]: item["value"] for item in items} for what, items in found["data"].items()}
    return {**found["info"], **data}
