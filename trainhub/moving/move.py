"""Copies everything that one database holds into another, and proves that it arrived.

The rows go as the ORM reads and writes them, a few at a time, in one transaction: what is interrupted leaves nothing.
They are read back and compared by a digest of each table.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.db import DatabaseError, connections, transaction

from trainhub.moving.digest import Digest, Row
from trainhub.moving.tables import ROWS_AT_ONCE, Table


class CannotMove(Exception):
    """The databases are not in a state in which one can be moved into the other."""


class TableReport(NamedTuple):
    """How many rows of a table there are before and after, and the digests of them all."""

    table: str
    rows_before: int
    rows_after: int
    digest_before: str
    digest_after: str

    @property
    def is_same(self) -> bool:
        """Tell whether everything arrived."""
        return self.rows_before == self.rows_after and self.digest_before == self.digest_after


def check_is_empty(alias: str, tables: Sequence[Table]) -> None:
    """Raise CannotMove when the database holds rows that no migration made."""
    present = set(connections[alias].introspection.table_names())
    for table in tables:
        if table.name in present and not table.is_filled_by_migrations and table.has_rows(alias):
            raise CannotMove(f"The database to move to is not empty: there are rows in {table.name}.")


def lift_time_limits(alias: str) -> None:
    """Let statements of this connection take what they take, for work that an operator waits for."""
    if connections[alias].vendor == "postgresql":
        with connections[alias].cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("SET idle_in_transaction_session_timeout = 0")


def move(source: str, target: str, tables: Sequence[Table]) -> Iterator[TableReport]:
    """Copy the rows of `tables` from one database into the other, and report on each table.

    Both have all migrations; `source` takes no writes meanwhile when it is SQLite, and is read as of one moment when it
    is PostgreSQL. All in one transaction: it is undone when a table differs, when anything raises, or when the iterator
    is not read to its end.

    Raises:
        CannotMove: a row cannot be stored there, or refers to one that is not there.
    """
    reports = []
    for alias in (source, target):
        lift_time_limits(alias)
    with transaction.atomic(using=source), transaction.atomic(using=target):
        _read_as_of_now(source)
        for table in tables:
            table.delete_all(target)
        for table in tables:
            reports.append(_move_table(source, target, table))
            yield reports[-1]
        _check_references(target)
        if not all(report.is_same for report in reports):
            transaction.set_rollback(True, using=target)


def _read_as_of_now(source: str) -> None:
    if connections[source].vendor == "postgresql":
        with connections[source].cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


def _check_references(target: str) -> None:
    """Check what the database leaves to the end of the transaction, as tables refer to each other in rings."""
    try:
        connections[target].check_constraints()
    except DatabaseError as error:
        raise CannotMove(f"A row refers to one that is not there: {error}") from error


def _move_table(source: str, target: str, table: Table) -> TableReport:
    before, after = Digest(table.fields), Digest(table.fields)
    for rows in _batches(table.rows(source)):
        for row in rows:
            before.add(row)
        _write(target, table, rows)
    # A key is never given out again: marks in other tables, such as up to which batch the newest values are known, go
    # by it.
    table.set_last_key(target, table.last_key(source))
    for row in table.rows(target):
        after.add(row)
    return TableReport(table.name, before.rows, after.rows, str(before), str(after))


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(itertools.islice(rows, ROWS_AT_ONCE)):
        yield batch


def _write(target: str, table: Table, rows: Sequence[Row]) -> None:
    """Store some rows; when that fails, find the row that it is because of. Raises: CannotMove."""
    try:
        with transaction.atomic(using=target):
            table.insert(target, rows)
    except (DatabaseError, ValueError) as error:
        if len(rows) == 1:
            key = table.key_of(rows[0])
            raise CannotMove(f"{table.name}, row {key!r}, cannot be stored there: {error}") from error
        for row in rows:
            _write(target, table, [row])
