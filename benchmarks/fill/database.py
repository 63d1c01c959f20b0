"""The database while it is filled: no waiting for the disk, and how much of it is used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import connection

from benchmarks.databases import POSTGRES, SQLITE


def kind() -> str:
    """Return SQLite or PostgreSQL."""
    return SQLITE if connection.vendor == "sqlite" else POSTGRES


def hurry() -> None:
    """Stop this connection from waiting for the disk: what is filled can be filled again."""
    with connection.cursor() as cursor:
        if kind() == SQLITE:
            cursor.execute("PRAGMA synchronous=OFF")
            cursor.execute("PRAGMA cache_size=-400000")
        else:
            cursor.execute("SET synchronous_commit = off")
            cursor.execute("SET statement_timeout = 0")


def settle() -> None:
    """Leave the database as one that has had time: SQLite's journal written back, PostgreSQL vacuumed."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)" if kind() == SQLITE else "VACUUM ANALYZE")


def used_bytes(tables: Sequence[str]) -> int:
    """Return what lies on disk: of a SQLite file all used pages, on PostgreSQL the tables with their indexes."""
    if kind() == SQLITE:
        return (_number("PRAGMA page_count") - _number("PRAGMA freelist_count")) * _number("PRAGMA page_size")
    return sum(_number("SELECT pg_total_relation_size(%s::regclass)", table) for table in tables)


def _number(query: str, *parameters: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return int(cursor.fetchone()[0])


def insert_newest(rows: Iterable[tuple[int, str, int, int, int, float, str, float, float]]) -> None:
    """Insert newest values as they are; five million model instances would take as many minutes."""
    with connection.cursor() as cursor:
        if kind() == SQLITE:
            cursor.executemany(
                "INSERT INTO runs_runmetric"
                " (run_id, key, attempt_number, step, time, value, special, minimum, maximum)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                list(rows),
            )
            return
        with cursor.copy(
            "COPY runs_runmetric (run_id, key, attempt_number, step, time, value, special, minimum, maximum) FROM STDIN"
        ) as copy:
            for row in rows:
                copy.write_row(row)
