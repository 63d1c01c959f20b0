"""Reads the fields of a request by MLflow's rules: proto3's JSON, fields that are unknown ignored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Self, TypeVar

from django.http import QueryDict

from mlflow_api.errors import MlflowError, invalid
from runs.telemetry.log_chunks import is_unicode

INT64 = range(-(2**63), 2**63)
SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
Choice = TypeVar("Choice", bound=Enum)


class Fields:
    """The fields of one object of a request; `where` names it in errors."""

    def __init__(self, values: Mapping[str, Any], where: str = "") -> None:
        self._values, self._where = values, where

    @classmethod
    def of_query(cls, query: QueryDict) -> Self:
        """Take a query string: lists for all fields, of which `text` and `whole` take the last."""
        fields = cls(dict(query.lists()))
        fields._is_query = True
        return fields

    _is_query = False

    def _get(self, name: str) -> Any:
        value = self._values.get(name)
        if self._is_query and isinstance(value, list):
            return value[-1] if value else None
        return value

    def has(self, name: str) -> bool:
        """Tell whether the field is there and not null."""
        return self._values.get(name) is not None

    def text(self, name: str, *aliases: str, most: int | None = None) -> str:
        """Return a text, empty when missing; of several names the first that is there counts.

        Raises: MlflowError (400) for another type, more than `most` characters, or half of a surrogate pair.
        """
        for one in (name, *aliases):
            value = self._get(one)
            if value is None:
                continue
            if not isinstance(value, str):
                raise self._refuse(one, "must be a string")
            if "\0" in value or not is_unicode(value):
                raise self._refuse(one, "holds a character that cannot be stored")
            if most is not None and len(value) > most:
                raise self._refuse(one, f"has {len(value)} characters, at most {most} are taken")
            return value
        return ""

    def needed(self, name: str, *aliases: str, most: int | None = None) -> str:
        """Return a text that must be there and not empty. Raises: as `text`."""
        value = self.text(name, *aliases, most=most)
        if not value:
            raise self.missing(name)
        return value

    def whole(self, name: str, default: int | None = None) -> int | None:
        """Return a whole number of 64 bits, also one in a string. Raises: MlflowError (400)."""
        value = self._get(name)
        if value is None or value == "":
            return default
        if isinstance(value, str):
            try:
                value = int(value) if len(value) <= 20 else None
            except ValueError:
                value = None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or value not in INT64:
            raise self._refuse(name, "must be a whole number of 64 bits")
        return value

    def number(self, name: str) -> float:
        """Return a number that must be there: also "NaN", "Infinity", "-Infinity" or one in a string.

        Raises: MlflowError (400).
        """
        value = self._get(name)
        if value is None or value == "":
            raise self.missing(name)
        if isinstance(value, str):
            if value in SPECIAL:
                return SPECIAL[value]
            try:
                value = float(value)
            except ValueError:
                value = None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refuse(name, "must be a number")
        try:
            return float(value)
        except OverflowError:
            raise self._refuse(name, "must fit a float of 64 bits") from None

    def flag(self, name: str) -> bool:
        """Return true or false, false when missing. Raises: MlflowError (400)."""
        value = self._get(name)
        if value in (None, False, "false", ""):
            return False
        if value in (True, "true"):
            return True
        raise self._refuse(name, "must be true or false")

    def choice(self, name: str, kind: type[Choice]) -> Choice | None:
        """Return a member of an enum by its name or by its number, from 1 in the order they are declared.

        Raises: MlflowError (400) for a word or number that it does not have.
        """
        value = self._get(name)
        if value is None or value == "":
            return None
        members = list(kind)
        if isinstance(value, str) and value in kind.__members__:
            return kind[value]
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 4:
            value = int(value)
        if type(value) is int and 0 < value <= len(members):
            return members[value - 1]
        raise self._refuse(name, f"must be one of {', '.join(kind.__members__)}")

    def texts(self, name: str) -> list[str]:
        """Return a list of texts, empty when missing. Raises: MlflowError (400)."""
        values = self._values.get(name)
        if values is None:
            return []
        if not isinstance(values, list):
            raise self._refuse(name, "must be a list of strings")
        return [Fields({name: value}, self._where).text(name) for value in values]

    def count(self, name: str) -> int:
        """Return the length of a list, 0 when missing. Raises: MlflowError (400)."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, list):
            raise self._refuse(name, "must be a list of objects")
        return len(value or ())

    def plain(self, name: str) -> Any:
        """Return a field as it came, for a caller that checks it."""
        return self._values.get(name)

    def objects(self, name: str) -> Iterator[Fields]:
        """Yield the objects of a list, none when missing. Raises: MlflowError (400)."""
        values = self._values.get(name)
        if values is None:
            return
        if not isinstance(values, list):
            raise self._refuse(name, "must be a list of objects")
        for place, value in enumerate(values):
            if not isinstance(value, dict):
                raise self._refuse(f"{name}[{place}]", "must be an object")
            yield Fields(value, f"{name}[{place}].")

    def object(self, name: str) -> Fields:
        """Return an object, an empty one when missing. Raises: MlflowError (400)."""
        value = self._values.get(name)
        if value is None:
            return Fields({}, f"{name}.")
        if not isinstance(value, dict):
            raise self._refuse(name, "must be an object")
        return Fields(value, f"{name}.")

    def missing(self, name: str) -> MlflowError:
        """Return the error for a field that must be there and is not."""
        return invalid(f"Missing value for required parameter '{self._where}{name}'.")

    def _refuse(self, name: str, what: str) -> MlflowError:
        return invalid(f"Invalid value for parameter '{self._where}{name}': it {what}.")
