"""The list of a run's models as clients of MLflow 2 keep it: JSON in a tag."""

from __future__ import annotations

from typing import Any

import orjson
from django.db import transaction

from runs.deletion import lock_kept
from runs.models import Run, RunTag
from runs.tracking.writing import set_tags

HISTORY_TAG = "mlflow.log-model.history"
MAX_HISTORY = 8000  # characters of a tag's value


@transaction.atomic
def append_to_history(*, run: Run, described: dict[str, Any]) -> None:
    """Add what a client says of a model to the run's tag; the oldest entries go where it would grow too long."""
    lock_kept(run.pk)
    tag = RunTag.objects.filter(run=run, key=HISTORY_TAG).first()
    entries = [*_parse(tag.value if tag else ""), described]
    while entries and len(orjson.dumps(entries).decode()) > MAX_HISTORY:
        entries.pop(0)
    if entries:
        set_tags(run=run, tags={HISTORY_TAG: orjson.dumps(entries).decode()})


def _parse(text: str) -> list[Any]:
    """Return the entries of a tag, none where a client wrote something else there."""
    try:
        entries = orjson.loads(text or "[]")
    except orjson.JSONDecodeError:
        return []
    return entries if isinstance(entries, list) else []
