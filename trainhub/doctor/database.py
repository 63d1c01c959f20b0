"""Checks of the database."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from django.db import Error as DatabaseError
from django.db import connection
from django.utils import timezone

from trainhub.doctor.findings import Finding, problem, warning, well
from trainhub.gauges import database_bytes
from trainhub.schema_state import missing_migrations, unknown_migrations
from trainhub.templatetags.formatting import file_size

SLOW_SECONDS = 0.1
CLOCKS_DIFFER_SECONDS = 2.0


def reachable() -> Iterator[Finding]:
    """Whether it answers, how quickly, and how large it is."""
    began = time.perf_counter()
    try:
        connection.ensure_connection()
        size = database_bytes()
    except DatabaseError as error:
        yield problem("database", f"It does not answer: {error}".strip(), "See to DATABASE_URL and the server.")
        return
    seconds = time.perf_counter() - began
    seen = f"{connection.vendor}, {file_size(size)}, answered in {seconds * 1000:.0f} ms"
    if seconds > SLOW_SECONDS and connection.vendor == "postgresql":
        yield warning("database", seen, "Put the database near the hub; every page asks it several times.")
    else:
        yield well("database", seen)


def schema() -> Iterator[Finding]:
    """Whether its tables are those of this code."""
    missing, unknown = missing_migrations(), unknown_migrations()
    if unknown:
        seen = f"It belongs to a newer version: {', '.join(unknown[-3:])}."
        yield problem("tables", seen, "Run the newer version, or restore the backup from before the upgrade.")
    elif missing:
        yield problem(
            "tables", f"{len(missing)} migrations are missing.", "Run manage.py migrate, or start with make up."
        )
    else:
        yield well("tables", "as this version expects them")


def durability() -> Iterator[Finding]:
    """Whether what was acknowledged survives a power loss."""
    if connection.vendor == "sqlite":
        journal, synchronous = _value("PRAGMA journal_mode"), int(_value("PRAGMA synchronous"))
        is_well, seen = journal == "wal" and synchronous >= 2, f"journal {journal}, synchronous {synchronous}"
        remedy = "Another program changed the file's mode; restart the hub."
    else:
        fsync, commit = _value("SHOW fsync"), _value("SHOW synchronous_commit")
        is_well, seen = fsync == "on" and commit != "off", f"fsync {fsync}, synchronous_commit {commit}"
        remedy = "Set fsync = on and synchronous_commit = on in postgresql.conf."
    yield well("durability", seen) if is_well else problem("durability", seen, remedy)


def clock() -> Iterator[Finding]:
    """Whether the database server and this machine agree on the time, and on UTC."""
    if connection.vendor == "sqlite":
        return
    with connection.cursor() as cursor:
        before = timezone.now()
        cursor.execute("SELECT clock_timestamp()")
        (told,) = cursor.fetchone()
    apart = abs((told - before).total_seconds())
    zone = _value("SHOW timezone")
    seen = f"{apart:.1f} s from this machine's, time zone {zone}"
    if apart > CLOCKS_DIFFER_SECONDS:
        yield warning("database's clock", seen, "Let NTP set the clocks of both machines.")
    elif zone != "UTC":
        yield problem(
            "database's clock", seen, "Something sets another time zone for the hub's connections; remove it."
        )
    else:
        yield well("database's clock", seen)


def connections() -> Iterator[Finding]:
    """Whether the server lets all threads of the web server in."""
    if connection.vendor == "sqlite":
        return
    workers, threads = (int(os.environ.get(f"TRAINHUB_WEB_{name}", usual)) for name, usual in _WEB)
    wanted, allowed = workers * threads + 2, int(_value("SHOW max_connections"))
    seen = f"{workers} × {threads} threads of this web server and a scheduler, {allowed} allowed"
    if wanted > allowed:
        yield warning("connections", seen, f"Raise max_connections above {wanted}, or lower TRAINHUB_WEB_THREADS.")
    else:
        yield well("connections", seen)


_WEB = (("WORKERS", "2"), ("THREADS", "12"))


def _value(statement: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return str(cursor.fetchone()[0])
