"""Who else has a database open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from django.db import connections


def users_of(alias: str) -> list[str]:
    """Return who else has the database open, in a few words each; of other people's processes only root knows."""
    connection = connections[alias]
    if connection.vendor == "sqlite":
        return [f"process {pid}: {name}" for pid, name in _processes_with(str(connection.settings_dict["NAME"]))]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid, application_name FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return [f"server process {pid}: {name}" for pid, name in cursor.fetchall()]


def _processes_with(path: str) -> Iterator[tuple[int, str]]:
    """Yield pid and command line of the other processes that have a file open."""
    wanted = os.path.realpath(path)
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        try:
            is_open = any(os.path.realpath(one) == wanted for one in (entry / "fd").iterdir())
            name = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # it has ended, or is somebody else's
            continue
        if is_open:
            yield int(entry.name), name[:100]
