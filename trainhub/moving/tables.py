"""The rows of one table, read and written as they are in the database of an alias."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from django.apps import apps
from django.db import connections
from django.db.models import AutoField, Field, Model, QuerySet
from django.db.models.sql import InsertQuery

from trainhub.moving.digest import Row

ROWS_AT_ONCE = 200  # a packed row of telemetry has up to some 64 kB
# Sessions and the notes of failed sign-ins: people sign in again. Nothing else is left behind.
LEFT_BEHIND = {"sessions", "axes"}
# Tables that migrations fill in every database; the rows of the old database take the place of those.
FILLED_BY_MIGRATIONS = {"contenttypes.ContentType", "auth.Permission"}


class Table:
    """The table of a model."""

    def __init__(self, model: type[Model]) -> None:
        self._model = model
        meta = model._meta  # noqa: SLF001 - public in Django's documentation
        self.name: str = meta.db_table
        self.app: str = meta.app_label
        self.is_filled_by_migrations = meta.label in FILLED_BY_MIGRATIONS
        self.fields: list[Field[Any, Any]] = list(meta.local_concrete_fields)
        self._names = [field.attname for field in self.fields]
        self._key: Field[Any, Any] = meta.pk

    def _all(self, alias: str) -> QuerySet[Any, Any]:
        return QuerySet(self._model, using=alias)  # past managers that hide rows

    def has_rows(self, alias: str) -> bool:
        """Tell whether there are rows in it."""
        return self._all(alias).exists()

    def rows(self, alias: str) -> Iterator[Row]:
        """Yield all rows by key, a few at a time."""
        return self._all(alias).order_by("pk").values_list(*self._names).iterator(chunk_size=ROWS_AT_ONCE)

    def key_of(self, row: Row) -> Any:
        """Return the key of a row."""
        return row[self.fields.index(self._key)]

    def delete_all(self, alias: str) -> None:
        """Delete its rows and nothing that refers to them."""
        self._all(alias)._raw_delete(alias)  # noqa: SLF001 - loads no row, unlike delete

    def insert(self, alias: str, rows: Sequence[Row]) -> None:
        """Store some rows."""
        at_once = connections[alias].ops.bulk_batch_size(self.fields, rows) or len(rows)
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            query = InsertQuery(self._model)
            # Raw: as they are, where saving would put the present into times of change.
            query.insert_values(self.fields, [_with(self._names, row) for row in some], raw=True)
            query.get_compiler(alias).execute_sql()

    def last_key(self, alias: str) -> int:
        """Return the highest key that the table's counter ever gave out; 0 for none, or without a counter."""
        if not isinstance(self._key, AutoField):
            return 0
        with connections[alias].cursor() as cursor:
            if connections[alias].vendor == "sqlite":
                cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [self.name])
            else:
                sequence = "pg_get_serial_sequence(%s, %s)::regclass"
                cursor.execute(f"SELECT pg_sequence_last_value({sequence})", [f'"{self.name}"', self._key.column])
            found = cursor.fetchone()
        return int(found[0] or 0) if found else 0

    def set_last_key(self, alias: str, last: int) -> None:
        """Let the table's counter go on behind `last`; with 0 nothing is done."""
        if not last:
            return
        with connections[alias].cursor() as cursor:
            if connections[alias].vendor == "sqlite":
                cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [self.name])
                cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [self.name, last])
            else:
                values = [f'"{self.name}"', self._key.column, last]
                cursor.execute("SELECT setval(pg_get_serial_sequence(%s, %s), %s)", values)


def _with(names: Sequence[str], row: Row) -> Any:
    return SimpleNamespace(**dict(zip(names, row, strict=True)))


def moved_tables(source: str) -> list[Table]:
    """Return all tables of our models that are in the database, but for those of LEFT_BEHIND."""
    present = set(connections[source].introspection.table_names())
    tables = [Table(model) for model in apps.get_models(include_auto_created=True)]
    return [table for table in tables if table.name in present and table.app not in LEFT_BEHIND]
