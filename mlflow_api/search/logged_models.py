"""logged-models/search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db.models import QuerySet

from artifacts.models import LoggedModel, Readiness
from mlflow_api.callers import Caller
from mlflow_api.endpoint import endpoint
from mlflow_api.experiments import DEFAULT_ID, find_project
from mlflow_api.fields import Fields
from mlflow_api.logged_models import models_of, show_model
from mlflow_api.search.asked import read_experiments, read_size
from mlflow_api.search.listing import LOGGED_MODEL_TABLE, find_page
from mlflow_api.search.offsets import read_page
from mlflow_api.search.ordering import Sort, check_count
from mlflow_api.search.reading import Clause, Value, read_filter, read_name
from mlflow_api.search.vocabulary import LOGGED_MODELS, Entity, Ident

DEFAULT_RESULTS, MAX_RESULTS = 100, 1000
_STATUS = Ident(Entity.ATTRIBUTE, "status")
_WORDS = {word.removeprefix("LOGGED_MODEL_"): word for word in Readiness.values}  # as Python clients spell them


@endpoint("POST", "mlflow/logged-models/search")
def search(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Return a page of the models of experiments; clients ask this whenever they list the artifacts of a run."""
    ids = read_experiments(fields)
    if not ids:
        raise fields.missing("experiment_ids")
    clauses = [_in_full(clause) for clause in read_filter(fields.text("filter"), LOGGED_MODELS)]
    sorts = _read_sorts(fields)
    page = read_page(fields, read_size(fields, DEFAULT_RESULTS, MAX_RESULTS))
    keys, token = find_page(LOGGED_MODEL_TABLE, _in_experiments(caller, ids), clauses, sorts, page)
    found = models_of(caller).in_bulk(keys)
    models = [show_model(found[key]) for key in keys if key in found]
    return ({"models": models} if models else {}) | token


def _in_experiments(caller: Caller, ids: list[str]) -> QuerySet[LoggedModel]:
    uids = {find_project(caller, uid).uid if uid == DEFAULT_ID else uid for uid in ids}
    return models_of(caller).filter(project__uid__in=uids)


def _read_sorts(fields: Fields) -> list[Sort]:
    """Return what objects of `field_name` and `ascending` order by. Raises: MlflowError (400)."""
    check_count(fields.count("order_by"))
    return [
        Sort(
            read_name(one.needed("field_name"), LOGGED_MODELS),
            is_descending=one.has("ascending") and not one.flag("ascending"),
        )
        for one in fields.objects("order_by")
    ]


def _in_full(clause: Clause) -> Clause:
    """Spell statuses as the protocol does."""
    if clause.ident != _STATUS:
        return clause
    value: Value = clause.value
    if isinstance(value, tuple):
        return replace(clause, value=tuple(_WORDS.get(word, word) for word in value))
    return replace(clause, value=_WORDS.get(str(value), value))
