"""Registered models and their versions as the objects that MLflow clients read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from artifacts.models import ModelAlias, ModelVersion, RegisteredModel
from mlflow_api.objects import key_values
from mlflow_api.sources import logged_model_of
from runs.epoch import milliseconds


def show_version(version: ModelVersion) -> dict[str, Any]:
    """Return a version; `with_details` has loaded it."""
    shown: dict[str, Any] = {
        "name": version.model.name,
        "version": str(version.number),
        "creation_timestamp": milliseconds(version.created_at),
        "last_updated_timestamp": milliseconds(version.updated_at),
        "current_stage": version.stage,
        "description": version.description,
        "source": version.source,
        "status": "READY",
        "tags": key_values(version.tags.items()),
        "aliases": sorted(alias.alias for alias in version.aliases.all()),
    }
    logged = logged_model_of(version.artifact) if version.artifact else None
    known = {
        "user_id": version.created_by.get_username() if version.created_by else "",
        "run_id": version.run.uid if version.run else "",
        "run_link": version.run_link,
        "model_id": logged.uid if logged else "",
    }
    return shown | {name: value for name, value in known.items() if value}


def show_models(models: Sequence[RegisteredModel]) -> list[dict[str, Any]]:
    """Return models with aliases and the newest version of each stage; four queries, however many models.

    `created_by` is loaded with the models.
    """
    keys = [model.pk for model in models]
    newest = defaultdict(list)
    for version in ModelVersion.objects.filter(model__in=keys).newest_of_stages().with_details().order_by("number"):
        newest[version.model_id].append(show_version(version))
    aliases = defaultdict(list)
    known = ModelAlias.objects.filter(model__in=keys).order_by("alias")
    for model_id, alias, number in known.values_list("model_id", "alias", "version__number"):
        aliases[model_id].append({"alias": alias, "version": str(number)})
    return [
        {
            "name": model.name,
            "creation_timestamp": milliseconds(model.created_at),
            "last_updated_timestamp": milliseconds(model.updated_at),
            **({"user_id": model.created_by.get_username()} if model.created_by else {}),
            "description": model.description,
            "latest_versions": newest[model.pk],
            "tags": key_values(model.tags.items()),
            "aliases": aliases[model.pk],
        }
        for model in models
    ]
