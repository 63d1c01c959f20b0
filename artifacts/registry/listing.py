"""What pages show of registered models: the newest version of each, its aliases, and what is released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Window
from django.db.models.functions import RowNumber

from artifacts.models import Artifact, ModelAlias, ModelVersion, RegisteredModel, TagValue


@dataclass(slots=True)
class ModelRow:
    """A registered model. `aliases` are [alias, number of its version]; `releases` the numbers of released versions."""

    model: RegisteredModel
    newest: ModelVersion | None = None
    aliases: list[tuple[str, int]] = field(default_factory=list)
    releases: list[int] = field(default_factory=list)


def list_models(models: Sequence[RegisteredModel]) -> list[ModelRow]:
    """Return a row for each model, in their order; four queries, however many models."""
    rows = {model.pk: ModelRow(model) for model in models}
    versions = ModelVersion.objects.kept().filter(model__in=rows)
    place = Window(RowNumber(), partition_by="model", order_by="-number")
    for version in versions.annotate(place=place).filter(place=1).with_details():
        rows[version.model_id].newest = version
    known = ModelAlias.objects.filter(model__in=rows).order_by("alias")
    for model_id, alias, number in known.values_list("model_id", "alias", "version__number"):
        rows[model_id].aliases.append((alias, number))
    released = versions.filter(artifact__tags__value=TagValue.RELEASE).order_by("number")
    for model_id, number in released.values_list("model_id", "number"):
        rows[model_id].releases.append(number)
    return [rows[model.pk] for model in models]


def registered_as(artifact: Artifact) -> list[ModelVersion]:
    """Return the versions that a checkpoint is registered as, by model; at most 20. Two queries."""
    versions = ModelVersion.objects.kept().filter(artifact=artifact).select_related("model")
    return list(versions.prefetch_related("aliases").order_by("model__name", "number")[:20])
