"""experiments/search."""

from __future__ import annotations

from typing import Any

from mlflow_api.callers import Caller
from mlflow_api.endpoint import endpoint
from mlflow_api.fields import Fields
from mlflow_api.objects import experiment
from mlflow_api.search.asked import ViewType, read_size, read_view
from mlflow_api.search.conditions import of_projects
from mlflow_api.search.ordering import read_ordering
from mlflow_api.search.reading import read_filter
from mlflow_api.search.tokens import read_token, write_token
from mlflow_api.search.vocabulary import EXPERIMENTS
from projects.models import Project, ProjectStatus

_SHOWN_AT_ONCE = 500  # projects, that no query has too many parameters


@endpoint("GET", "mlflow/experiments/search")
@endpoint("POST", "mlflow/experiments/search")
def search(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Return a page of the experiments that the caller sees and that fulfil a filter."""
    ordering = read_ordering("projects", fields.texts("order_by"))
    clauses = read_filter(fields.text("filter"), EXPERIMENTS)
    view, size = read_view(fields, "view_type"), read_size(fields)
    token = fields.text("page_token")
    after = read_token(ordering, token) if token else None
    rows = caller.projects().order_by()
    if view == ViewType.ACTIVE_ONLY:
        rows = rows.exclude(status=ProjectStatus.ARCHIVED)
    elif view == ViewType.DELETED_ONLY:
        rows = rows.filter(status=ProjectStatus.ARCHIVED)
    for clause in clauses:
        rows = rows.filter(of_projects(clause).fulfils)
    found = ordering.places(rows, after, size + 1)
    answer: dict[str, Any] = {"experiments": _show([place.key for place in found[:size]])} if found else {}
    return answer | ({"next_page_token": write_token(ordering, found[size - 1])} if len(found) > size else {})


def _show(keys: list[int]) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for start in range(0, len(keys), _SHOWN_AT_ONCE):
        some = keys[start : start + _SHOWN_AT_ONCE]
        rows = Project.objects.prefetch_related("experiment_tags").in_bulk(some)
        shown += [experiment(rows[key]) for key in some if key in rows]
    return shown
