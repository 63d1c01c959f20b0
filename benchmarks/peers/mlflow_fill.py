"""Fills MLflow's tables directly, after its server has made them; through its API it would take days."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.bodies import key_name
from benchmarks.databases import Database

_RUNS_AT_ONCE = 500
_POINTS_AT_ONCE = 20_000
_NEWEST_MS = 1_764_000_000_000
_MAX_LOSS = 5.0  # as in the hub's list
_COLUMNS = {
    "runs": (
        *("run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status"),
        *("start_time", "end_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id"),
    ),
    "latest_metrics": ("key", "value", "timestamp", "step", "is_nan", "run_uuid"),
    "metrics": ("key", "value", "timestamp", "step", "is_nan", "run_uuid"),
    "params": ("key", "value", "run_uuid"),
    "tags": ("key", "value", "run_uuid"),
}
Insert = Callable[[str, Iterable[Sequence[Any]]], None]


def fill_mlflow(database: Database, *, runs: int, metrics: int, points: Sequence[int]) -> dict[str, str]:
    """Insert runs with newest metrics, and a run with a long series of `loss` for each of `points`.

    Returns the ids of the runs with the long series, by their points as text. A run of a list has 3 parameters and 3
    tags, and no history of its metrics, which lists do not read.
    """
    long_runs = {str(count): f"{count:032x}" for count in points}
    if database.name:
        with psycopg.connect(database.url) as connection:
            connection.execute("SET synchronous_commit = off")
            _insert_all(_copy_into(connection), runs, metrics, long_runs)
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
    else:
        with closing(sqlite3.connect(database.path, timeout=60)) as file, file:
            file.execute("PRAGMA synchronous=OFF")
            file.execute("PRAGMA cache_size=-400000")
            _insert_all(_insert_into(file), runs, metrics, long_runs)
            # MLflow does not do this by itself. Without it SQLite joins all runs with all values of a metric row by
            # row: ordering 100,000 runs by a metric takes more than seven minutes.
            file.execute("ANALYZE")
    return long_runs


def _insert_all(insert: Insert, runs: int, metrics: int, long_runs: dict[str, str]) -> None:
    rng = random.Random(11)
    insert("runs", [_run(run, "long series", _NEWEST_MS - 10**10) for run in long_runs.values()])
    for count, run in long_runs.items():
        _insert_points(insert, run, int(count), rng)
    for start in range(0, runs, _RUNS_AT_ONCE):
        indexes = range(start, min(start + _RUNS_AT_ONCE, runs))
        made = {f"{rng.getrandbits(128):032x}": _NEWEST_MS - 60_000 * (runs - index) for index in indexes}
        insert("runs", [_run(run, f"sweep {rng.randrange(10**6):06d}", moment) for run, moment in made.items()])
        insert("latest_metrics", _newest(made, metrics, rng))
        insert(
            "params", [(name, str(rng.choice([16, 32, 64])), run) for run in made for name in ("lr", "batch", "seed")]
        )
        insert("tags", [(f"tag_{index}", "value", run) for run in made for index in range(3)])


def _run(run: str, name: str, moment: int) -> tuple[Any, ...]:
    source = ("LOCAL", "train.py", "", "bench", "FINISHED")
    return (run, name, *source, moment, moment + 7_200_000, "", "active", f"artifacts/{run}", 0)


def _newest(made: dict[str, int], metrics: int, rng: random.Random) -> Iterator[tuple[Any, ...]]:
    for run, moment in made.items():
        for key in range(metrics):
            yield key_name(key), rng.random() * _MAX_LOSS, moment, 100_000, False, run


def _insert_points(insert: Insert, run: str, count: int, rng: random.Random) -> None:
    for start in range(0, count, _POINTS_AT_ONCE):
        steps = range(start, min(start + _POINTS_AT_ONCE, count))
        insert("metrics", [("loss", rng.gauss(2, 0.5), _NEWEST_MS + 100 * step, step, False, run) for step in steps])
    insert("latest_metrics", [("loss", 2.0, _NEWEST_MS + 100 * count, count - 1, False, run)])


def _insert_into(file: sqlite3.Connection) -> Insert:
    def insert(table: str, rows: Iterable[Sequence[Any]]) -> None:
        places = sql.SQL(", ").join([sql.SQL("?")] * len(_COLUMNS[table]))
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(*_names(table), places)
        file.executemany(statement.as_string(), rows)

    return insert


def _copy_into(connection: psycopg.Connection[Any]) -> Insert:
    def insert(table: str, rows: Iterable[Sequence[Any]]) -> None:
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(*_names(table))
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    return insert


def _names(table: str) -> tuple[sql.Composable, sql.Composable]:
    return sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, _COLUMNS[table]))
