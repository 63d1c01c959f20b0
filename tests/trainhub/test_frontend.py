"""What pages take from npm: pinned, copied at set-up, also where there is no npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("bash", "sh", "mkdir", "sed", "cp", "rm", "touch", "env", "dirname", "basename", "uname", "realpath")
VENDOR = {"tabler.min.css", "uPlot.iife.min.js", "uPlot.min.css"}


def test_every_package_has_an_exact_version_and_a_hash():
    wanted = json.loads((ROOT / "package.json").read_text())
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]

    assert all(
        version[0].isdigit() for kind in ("dependencies", "devDependencies") for version in wanted[kind].values()
    )
    assert [name for name, package in locked.items() if name and "integrity" not in package] == []


def test_the_lock_file_names_no_registry():
    assert "resolved" not in (ROOT / "package-lock.json").read_text()


@pytest.mark.skipif(not os.environ.get("CI"), reason="fetches 60 MB; only in CI")
def test_a_machine_without_npm_sets_itself_up(tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
    for name in ("Makefile", "package.json", "package-lock.json", "requirements-node.txt"):
        shutil.copy(ROOT / name, tmp_path)

    done = subprocess.run(
        [shutil.which("make") or "make", ".venv/frontend", f"PYTHON={sys.executable}"],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    assert "borrowing one" in done.stderr
    assert {path.name for path in (tmp_path / "static" / "vendor").iterdir()} == VENDOR
    assert (tmp_path / ".venv" / "axe.min.js").stat().st_size > 100_000
    assert not (tmp_path / ".venv" / "node").exists()
