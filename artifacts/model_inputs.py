"""The logged models that runs read."""

from __future__ import annotations

from collections.abc import Iterable

from artifacts.models import LoggedModel, RunModel
from runs.models import Run


def link_inputs(*, run: Run, models: Iterable[LoggedModel]) -> None:
    """Note that a run reads logged models; what is noted already stays."""
    rows = [RunModel(run=run, model=model, is_input=True) for model in models]
    RunModel.objects.bulk_create(rows, ignore_conflicts=True)
