"""Finding a page of a small table: registered models, versions, logged models.

Attributes are compared and ordered by the database. What a row keeps as JSON is compared here, row by row, until the
page is full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db.models import F, Func, OrderBy, QuerySet

from mlflow_api.search.columns import LOGGED_MODEL_ATTRIBUTES, MODEL_ATTRIBUTES, SPECIAL, VERSION_ATTRIBUTES
from mlflow_api.search.conditions import of_column
from mlflow_api.search.matching import matcher
from mlflow_api.search.offsets import Page, next_page
from mlflow_api.search.ordering import Sort
from mlflow_api.search.reading import Clause
from mlflow_api.search.vocabulary import Entity

PROMPT_TAG = "mlflow.prompt.is_prompt"
_COLUMNS = {Entity.METRIC: "metrics", Entity.PARAM: "parameters", Entity.TAG: "tags"}
_ASSUMED = {PROMPT_TAG: "false"}  # clients ask for what is no prompt; nothing here is one


@dataclass(frozen=True)
class Table:
    """What clients are shown of a table, by attribute; `last` orders what is equal in all that is asked for."""

    attributes: Mapping[str, F | Func]
    last: tuple[str, ...]


MODEL_TABLE = Table(MODEL_ATTRIBUTES, ("name", "pk"))
VERSION_TABLE = Table(VERSION_ATTRIBUTES, ("-updated_at", "model__name", "-number", "pk"))
LOGGED_MODEL_TABLE = Table(LOGGED_MODEL_ATTRIBUTES, ("-created_at", "-pk"))


def find_page(
    table: Table, rows: QuerySet[Any], clauses: Sequence[Clause], sorts: Sequence[Sort], page: Page
) -> tuple[list[int], dict[str, str]]:
    """Return the keys of the rows of a page, and the field that leads to the next one, empty on the last.

    What has no value comes last in both directions. One query.
    """
    of_json = [clause for clause in clauses if clause.ident.entity != Entity.ATTRIBUTE]
    for clause in clauses:
        if clause.ident.entity == Entity.ATTRIBUTE:
            rows = rows.filter(of_column(table.attributes[clause.ident.key], clause))
    order = [
        OrderBy(table.attributes[sort.ident.key], descending=sort.is_descending, nulls_last=True) for sort in sorts
    ]
    rows = rows.order_by(*order, *table.last)
    if of_json:
        tests = [_test(clause) for clause in of_json]
        columns = {_COLUMNS[clause.ident.entity] for clause in of_json}
        fulfilling = (row["pk"] for row in rows.values("pk", *columns).iterator() if all(test(row) for test in tests))
        found = list(islice(fulfilling, page.start, page.end + 1))
    else:
        found = list(rows.values_list("pk", flat=True)[page.start : page.end + 1])
    return found[: page.size], next_page(page) if len(found) > page.size else {}


def _test(clause: Clause) -> Callable[[Mapping[str, Any]], bool]:
    """Return what tells whether a row fulfils a clause; what lacks the key never does."""
    column, key, fits = _COLUMNS[clause.ident.entity], clause.ident.key, matcher(clause)

    def fulfils(row: Mapping[str, Any]) -> bool:
        shown = row[column].get(key, _ASSUMED.get(key))
        if column == "metrics" and shown is not None:
            shown = SPECIAL.get(shown[0], shown[0])
        return shown is not None and fits(shown)

    return fulfils
