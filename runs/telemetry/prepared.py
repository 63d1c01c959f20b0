"""Statements of the ORM, compiled once: for calls that come often, compiling takes up to ten times the executing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper
from django.db.models import Field, Model, QuerySet
from django.db.models.constants import OnConflict
from django.db.models.sql import InsertQuery, UpdateQuery

_MARK = 7_000_000_000_000_000_000  # integers from here on stand for arguments while a statement is compiled


class _Prepared:
    """A statement with integers, and texts, that are given later.

    `build` gets a stand-in for each of `names`, an integer, or a text for those that are in `texts`. It must use every
    stand-in as it is: in a look-up, as a value, or an integer added to an F().
    """

    def __init__(self, names: Sequence[str], texts: Collection[str] = ()) -> None:
        self._marks: dict[str, int | str] = {
            name: f"{_MARK + place}" if name in texts else _MARK + place for place, name in enumerate(names)
        }
        self._compiled: dict[str, tuple[str, Sequence[Any]]] = {}  # by kind of database
        self._compiling = threading.Lock()

    def _sql(self, marks: Mapping[str, int | str]) -> tuple[str, Sequence[Any]]:
        """Return statement and parameters as the ORM compiles them."""
        raise NotImplementedError

    def _carry_out(self, cursor: CursorWrapper, vendor: str, arguments: Mapping[str, int | str]) -> None:
        with self._compiling:
            if vendor not in self._compiled:
                self._compiled[vendor] = self._sql(self._marks)
        sql, parameters = self._compiled[vendor]
        given = {mark: arguments[name] for name, mark in self._marks.items()}
        cursor.execute(sql, [given.get(parameter, parameter) for parameter in parameters])


class PreparedUpdate(_Prepared):
    """`QuerySet.update`: `build` returns the rows and their new values, as for `rows.update(**values)`."""

    def __init__(self, *names: str, build: Callable[..., tuple[QuerySet[Any], Mapping[str, Any]]]) -> None:
        super().__init__(names)
        self._build = build

    def execute(self, **arguments: int) -> int:
        """Carry the update out; return how many rows it found."""
        connection = connections[DEFAULT_DB_ALIAS]
        with connection.cursor() as cursor:
            self._carry_out(cursor, connection.vendor, arguments)
            return int(cursor.rowcount)

    def _sql(self, marks: Mapping[str, int | str]) -> tuple[str, Sequence[Any]]:
        rows, values = self._build(**marks)
        query = cast("UpdateQuery", rows.query.chain(UpdateQuery))
        query.add_update_values(dict(values))
        sql, parameters = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
        return sql, parameters


class PreparedSelect(_Prepared):
    """`QuerySet.values_list` of integers, texts and bytes, which need no conversion: `build` returns the rows."""

    def __init__(self, *names: str, texts: Collection[str] = (), build: Callable[..., QuerySet[Any, Any]]) -> None:
        super().__init__(names, texts)
        self._build = build

    def rows(self, **arguments: int | str) -> list[tuple[Any, ...]]:
        """Return all rows."""
        connection = connections[DEFAULT_DB_ALIAS]
        with connection.cursor() as cursor:
            self._carry_out(cursor, connection.vendor, arguments)
            return list(cursor.fetchall())

    def first(self, **arguments: int | str) -> tuple[Any, ...] | None:
        """Return the first row, None without any."""
        return next(iter(self.rows(**arguments)), None)

    def _sql(self, marks: Mapping[str, int | str]) -> tuple[str, Sequence[Any]]:
        sql, parameters = self._build(**marks).query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
        return sql, parameters


class PreparedInsert:
    """INSERT with values for all columns but the key; nothing is read back.

    With `unique`, the names of fields that are unique together, a row that is there already gets the other values.
    """

    def __init__(self, model: type[Model], *, unique: Sequence[str] = ()) -> None:
        self._model, self._unique = model, unique
        self._statements: dict[str, str] = {}  # by kind of database

    def execute(self, *rows: Model) -> None:
        """Store rows that are not stored yet; their keys stay unset. Nothing is done without rows."""
        if not rows:
            return
        connection = connections[DEFAULT_DB_ALIAS]
        fields = self._fields()
        if connection.vendor not in self._statements:
            self._statements[connection.vendor] = self._compile(fields, rows[0])
        values = [[field.get_db_prep_save(field.pre_save(row, True), connection) for field in fields] for row in rows]  # noqa: FBT003 - Django's own signature
        with connection.cursor() as cursor:
            cursor.executemany(self._statements[connection.vendor], values)

    def _fields(self) -> list[Field[Any, Any]]:
        columns = self._model._meta.concrete_fields  # noqa: SLF001 - public in Django's documentation
        return [field for field in columns if not field.primary_key]

    def _compile(self, fields: list[Field[Any, Any]], row: Model) -> str:
        unique = [field for field in fields if field.name in self._unique]
        query = InsertQuery(
            self._model,
            on_conflict=OnConflict.UPDATE if unique else None,
            unique_fields=unique,
            update_fields=[field for field in fields if field not in unique] if unique else None,
        )
        query.insert_values(fields, [row])
        ((sql, _),) = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
        return str(sql)


class PreparedRowUpdate:
    """UPDATE of some fields of the one row that a model object stands for, found by the fields `keys`."""

    def __init__(self, model: type[Model], *, fields: Sequence[str], keys: Sequence[str]) -> None:
        self._model, self._names, self._keys = model, fields, keys
        self._statements: dict[str, str] = {}  # by kind of database

    def execute(self, row: Model) -> None:
        """Write the fields."""
        connection = connections[DEFAULT_DB_ALIAS]
        fields = [cast("Field[Any, Any]", self._model._meta.get_field(name)) for name in (*self._names, *self._keys)]  # noqa: SLF001 - public in Django's documentation
        values = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
        if connection.vendor not in self._statements:
            self._statements[connection.vendor] = self._compile(row)
        with connection.cursor() as cursor:
            cursor.execute(self._statements[connection.vendor], values)

    def _compile(self, row: Model) -> str:
        rows = self._model._base_manager.all()  # noqa: SLF001 - public in Django's documentation
        for key in self._keys:
            rows = rows.filter(**{key: getattr(row, key)})
        query = cast("UpdateQuery", rows.query.chain(UpdateQuery))
        query.add_update_values({name: getattr(row, name) for name in self._names})
        sql, _ = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
        return str(sql)
