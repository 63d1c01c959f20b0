"""A PostgreSQL server of a test's own, with fsync, that may be stopped, crashed and started again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest

from tests.end_to_end.hub import ROOT, free_port

SCRIPT = ROOT / "tests" / "engines" / "postgres-up.sh"
PROGRAMS = Path("/usr/lib/postgresql")


def need_postgres() -> None:
    """Skip the test where PostgreSQL's programs are missing; in CI the script installs them."""
    if not PROGRAMS.exists() and not os.environ.get("CI"):
        pytest.skip("there is no PostgreSQL here: apt-get install postgresql")


@dataclass
class Postgres:
    """One server on loopback."""

    # Not below pytest's folder: the server runs as another user, to whom that is closed.
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="trainhub-pg-")))
    port: int = field(default_factory=free_port)

    def start(self) -> Postgres:
        """Start it and wait until it takes connections."""
        _done([SCRIPT], self._environment())
        return self

    def stop(self, mode: Literal["fast", "immediate"]) -> None:
        """Stop it; "immediate" is what a crash of the machine looks like to the next start."""
        command = [max(PROGRAMS.glob("*/bin/pg_ctl")), "-D", self.folder / "data"]
        as_its_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        _done([*as_its_user, *command, "-m", mode, "-w", "stop"], dict(os.environ))

    def close(self) -> None:
        """End it for good."""
        _done([SCRIPT, "--stop"], self._environment())
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """The address of a database on it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/trainhub"

    def execute(self, database: str, statement: str, values: list[Any] | None = None) -> list[Any]:
        """Execute one statement in a connection of its own and return the rows."""
        with psycopg.connect(self.url, dbname=database, autocommit=True) as connection:
            cursor = connection.execute(statement, values)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def _environment(self) -> dict[str, str]:
        ours = {"PG_DEV_DIR": str(self.folder), "PG_PORT": str(self.port), "PG_REUSE": "0", "PG_FAST": "0"}
        return {**os.environ, **ours, "PG_DATABASE": "trainhub"}


def _done(command: list[Any], environment: dict[str, str]) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # a pipe would stay open in the server
        stderr=subprocess.DEVNULL,
        timeout=120,
    )
    assert done.returncode == 0, f"{command[0]} ended with code {done.returncode}"
