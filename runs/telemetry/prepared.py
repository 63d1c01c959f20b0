"""UPDATE statements of the ORM, compiled once: for ingest calls, compiling takes ten times as long as executing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import QuerySet
from django.db.models.sql import UpdateQuery

_MARK = 7_000_000_000_000_000_000  # integers from here on stand for arguments while a statement is compiled


class PreparedUpdate:
    """`QuerySet.update` with integers that are given later.

    `build` gets a stand-in integer for each of `names` and returns the rows and their new values, as for
    `rows.update(**values)`. It must use every stand-in as it is: in a look-up, as a value, or added to an F().
    """

    def __init__(self, *names: str, build: Callable[..., tuple[QuerySet[Any], Mapping[str, Any]]]) -> None:
        self._names, self._build = names, build
        self._compiled: dict[str, tuple[str, list[str | int]]] = {}  # by kind of database
        self._compiling = threading.Lock()

    def execute(self, **arguments: int) -> int:
        """Carry the update out; return how many rows it found."""
        connection = connections[DEFAULT_DB_ALIAS]
        with self._compiling:
            if connection.vendor not in self._compiled:
                self._compiled[connection.vendor] = self._compile()
        sql, places = self._compiled[connection.vendor]
        with connection.cursor() as cursor:
            cursor.execute(sql, [arguments[place] if isinstance(place, str) else place for place in places])
            return int(cursor.rowcount)

    def _compile(self) -> tuple[str, list[str | int]]:
        """Return the statement, and for each of its parameters the argument's name or a constant."""
        marks = {name: _MARK + place for place, name in enumerate(self._names)}
        rows, values = self._build(**marks)
        query = cast("UpdateQuery", rows.query.chain(UpdateQuery))
        query.add_update_values(dict(values))
        sql, parameters = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
        names = {mark: name for name, mark in marks.items()}
        return sql, [names.get(parameter, parameter) for parameter in parameters]
