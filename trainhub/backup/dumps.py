"""Copies of the database: one file, taken while everybody reads and writes, and put into an empty database."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from django.db import DatabaseError, connection

from trainhub.backup.manifest import BrokenBackup
from trainhub.errors import DomainError

DUMP_SECONDS = 24 * 3600.0


class DumpFailed(DomainError):
    """The database could not be copied; the text is its own."""

    code = "dump_failed"


def dump_database(path: Path) -> None:
    """Write the database as of now to `path`, which does not exist. Raises: DumpFailed."""
    if connection.vendor == "sqlite":
        try:
            with connection.cursor() as cursor:
                cursor.execute("VACUUM INTO %s", [str(path)])
        except DatabaseError as error:
            raise DumpFailed(f"SQLite could not copy it: {error}.") from None
        check_sqlite(path)
    else:
        _run(["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={path}"])


def check_sqlite(path: Path) -> None:
    """Let SQLite look through a copy. Raises: BrokenBackup."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
        (word,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if word != "ok":
        raise BrokenBackup(f"{path} is damaged: {word}.")


def load_database(path: Path) -> None:
    """Put the copy in `path` where the empty database of this installation is. Raises: DumpFailed."""
    if connection.vendor == "sqlite":
        check_sqlite(path)
        place = Path(connection.settings_dict["NAME"])
        connection.close()
        for ending in ("-wal", "-shm"):
            place.with_name(place.name + ending).unlink(missing_ok=True)
        aside = place.with_name(f".{place.name}.restored")
        shutil.copyfile(path, aside)
        aside.chmod(0o600)
        aside.replace(place)
    else:
        name = connection.settings_dict["NAME"]
        connection.close()
        options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", f"--dbname={name}"]
        _run(["pg_restore", *options, str(path)])


def is_empty() -> bool:
    """Tell whether the database of this installation has no table."""
    with connection.cursor() as cursor:
        return not connection.introspection.table_names(cursor)


def _run(command: list[str]) -> None:
    """Call a program of PostgreSQL, which learns by its environment where the server is: no password is in argv."""
    given = connection.settings_dict
    told = {"PGDATABASE": "NAME", "PGUSER": "USER", "PGPASSWORD": "PASSWORD", "PGHOST": "HOST", "PGPORT": "PORT"}
    named = {variable: str(given[name]) for variable, name in told.items() if given.get(name)}
    named |= {f"PG{name.upper()}": str(value) for name, value in given["OPTIONS"].items() if name.startswith("ssl")}
    try:
        done = subprocess.run(
            command, env={**os.environ, **named}, capture_output=True, text=True, timeout=DUMP_SECONDS, check=False
        )
    except FileNotFoundError:
        raise DumpFailed(f"There is no {command[0]} here: install PostgreSQL's client programs.") from None
    if done.returncode:
        raise DumpFailed(f"{command[0]} failed: {done.stderr.strip()}")
