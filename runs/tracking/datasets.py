"""The datasets that tracking clients say a run reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count, Sum, TextField
from django.db.models.functions import Cast, Length

from runs.models import Run, RunDataset
from trainhub.errors import InvalidInput

CONTEXT_TAG = "mlflow.data.context"  # train, eval
MAX_DATASETS = 10_000  # of one run
MAX_TEXT = 64 * 2**20  # characters of the sources, tags, schemas and profiles of one run in all
MAX_CONTEXT = 250


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as a client tells it. `digest` stands for its content, `schema` and `profile` are JSON as text."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str
    profile: str
    tags: dict[str, str]


@transaction.atomic
def log_datasets(*, run: Run, datasets: Sequence[Dataset]) -> None:
    """Record what a run reads, all of it or nothing.

    The same name and digest again is the same dataset: its tags are laid over the ones that it has, and what is told
    of it replaces what was told before. Raises: InvalidInput beyond MAX_DATASETS or MAX_TEXT.
    """
    if not datasets:
        return
    Run.objects.select_for_update(no_key=True).get(pk=run.pk)
    rows = _known(run, datasets)
    known = set(rows)
    columns: dict[tuple[str, str], set[str]] = defaultdict(set)
    for told in datasets:
        key = (told.name, told.digest)
        row = rows.setdefault(key, RunDataset(run=run, name=told.name, digest=told.digest))
        tags = {**row.tags, **told.tags}
        changes: dict[str, Any] = {"source_type": told.source_type, "source": told.source, "tags": tags}
        changes["context"] = tags.get(CONTEXT_TAG, "")[:MAX_CONTEXT]
        changes |= {name: text for name, text in (("schema", told.schema), ("profile", told.profile)) if text}
        for name, value in changes.items():
            setattr(row, name, value)
        columns[key].update(changes)
    for key in known & columns.keys():
        rows[key].save(update_fields=columns[key])
    RunDataset.objects.bulk_create(row for key, row in rows.items() if key not in known)
    _check_amounts(run)


def _known(run: Run, datasets: Sequence[Dataset]) -> dict[tuple[str, str], RunDataset]:
    """Return those of the datasets that are recorded, without their texts, which together may be large."""
    names, digests = {told.name for told in datasets}, {told.digest for told in datasets}
    rows = RunDataset.objects.filter(run=run, name__in=names, digest__in=digests).only("name", "digest", "tags")
    return {(row.name, row.digest): row for row in rows}


def _check_amounts(run: Run) -> None:
    """Raise InvalidInput when a run has more datasets, or more text of them, than it may."""
    length = sum((Length(name) for name in ("source", "schema", "profile")), Length(Cast("tags", TextField())))
    found = RunDataset.objects.filter(run=run).aggregate(count=Count("pk"), text=Sum(length))
    if found["count"] > MAX_DATASETS:
        raise InvalidInput({"datasets": [f"A run has at most {MAX_DATASETS} datasets."]})
    if found["text"] > MAX_TEXT:
        raise InvalidInput({"datasets": [f"The datasets of a run have at most {MAX_TEXT} characters in all."]})
