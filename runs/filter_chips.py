"""The filters that a list of runs is narrowed by, each with the query string that is left without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.http import QueryDict

NAMES = {
    "q": "text",
    "name": "name",
    "status": "status",
    "recipe": "recipe",
    "executor": "executor",
    "owner": "launched by",
    "project": "project",
    "project_tag": "project's tag",
    "checkpoint_tag": "checkpoint tagged",
    "created_after": "created from",
    "created_before": "created before",
    "archived": "archive",
    "parent": "nested in",
    "where": "where",
}
WORDS = {("archived", "true"): "archived runs alone", ("archived", "all"): "archived runs too"}


@dataclass(frozen=True)
class Chip:
    """A filter in use; `without` is the query string that drops it, from its question mark on."""

    name: str
    value: str
    without: str


def chips_of(query: QueryDict) -> list[Chip]:
    """Return the filters of a query string in the order of NAMES."""
    return [
        Chip(title, WORDS.get((name, value), value), _without(query, name, value))
        for name, title in NAMES.items()
        for value in _given(query, name)
    ]


def _given(query: QueryDict, name: str) -> Iterator[str]:
    yield from dict.fromkeys(value for value in query.getlist(name) if value)


def _without(query: QueryDict, name: str, value: str) -> str:
    rest = query.copy()
    rest.setlist(name, [other for other in query.getlist(name) if other != value])
    rest.pop("page", None)
    return f"?{rest.urlencode()}"
