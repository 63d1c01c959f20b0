"""Databases of the benchmark's own: a SQLite file in the data folder, or one on the server that DATABASE_URL names."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from benchmarks import processes

SQLITE, POSTGRES = "SQLite", "PostgreSQL"
_SERVER_SETTINGS = ("server_version", "shared_buffers", "synchronous_commit", "fsync", "full_page_writes")


def server_url() -> str:
    """Return the PostgreSQL server of DATABASE_URL; empty when it names none."""
    url = os.environ.get("DATABASE_URL", "")
    return url if url.startswith("postgres") else ""


def offered() -> list[str]:
    """Return the databases that can be measured here."""
    return [SQLITE, POSTGRES] if server_url() else [SQLITE]


def server_facts() -> dict[str, str]:
    """Return what the figures depend on: version and settings of the PostgreSQL server."""
    with psycopg.connect(server_url()) as connection:
        rows = connection.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(_SERVER_SETTINGS)]
        )
        return dict(rows.fetchall())


@dataclass(frozen=True)
class Database:
    """One database: `name` on the server, or the SQLite file at `path` when the name is empty."""

    path: Path
    name: str = ""

    @classmethod
    def of(cls, kind: str, folder: Path, file: str) -> Database:
        """Return the database that belongs to a folder, with the name that was noted there when it was kept."""
        if kind == SQLITE:
            return cls(folder / file)
        note = folder / "database-name"
        if not note.exists():
            note.write_text(f"trainhub_bench_{secrets.token_hex(6)}", encoding="utf-8")
        return cls(folder / file, note.read_text(encoding="utf-8"))

    @property
    def kind(self) -> str:
        """SQLite or PostgreSQL."""
        return POSTGRES if self.name else SQLITE

    @property
    def url(self) -> str:
        """The address of the database on the server; of SQLite the file's."""
        if not self.name:
            return f"sqlite:///{self.path}"
        return urlunsplit(urlsplit(server_url())._replace(path=f"/{self.name}"))

    def create(self) -> None:
        """Make it on the server unless it is there; a SQLite file is made by whoever opens it first."""
        if self.name and not self._exists():
            _on_server("CREATE DATABASE {}", self.name)

    def drop(self) -> None:
        """Remove it from the server; a SQLite file goes with its folder."""
        if self.name:
            _on_server("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)

    def _exists(self) -> bool:
        with psycopg.connect(server_url()) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.name])
            return found.fetchone() is not None

    def value(self, query: sql.SQL) -> Any:
        """Return the first value of a query's first row."""
        if self.name:
            with psycopg.connect(self.url) as connection:
                row = connection.execute(query).fetchone()
        else:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)) as file:
                row = file.execute(query.as_string()).fetchone()
        return row[0] if row else None

    def cpu_seconds(self) -> float:
        """Return the processor time of the server's processes for this database; 0 for SQLite, which has none."""
        if not self.name:
            return 0.0
        return sum(processes.cpu_seconds(pid) for pid in processes.naming(f" {self.name} "))


def _on_server(statement: str, name: str) -> None:
    with psycopg.connect(server_url(), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
