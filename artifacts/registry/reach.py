"""Which registered versions a run's token may change: those of its own runs, so that others keep their releases."""

from __future__ import annotations

from artifacts.models import ModelVersion, RegisteredModel
from runs.querysets import RunQuerySet
from trainhub.errors import NotAllowed


def check_reach(reach: RunQuerySet | None, *versions: ModelVersion) -> None:
    """Raise NotAllowed when one of `versions` is of no run in `reach`; None reaches them all."""
    if reach is None:
        return
    runs = {version.run_id for version in versions}  # None of a run that was deleted, which nobody's token reaches
    if reach.filter(pk__in=[run for run in runs if run is not None]).count() != len(runs):
        raise NotAllowed(
            "A run's token changes no version that is of another run, and takes no alias or stage from one."
        )


def check_reach_of_model(reach: RunQuerySet | None, model: RegisteredModel) -> None:
    """Raise NotAllowed when the model has a version that is of no run in `reach`; None reaches them all."""
    if reach is not None and model.versions.kept().exclude(run__in=reach).exists():
        raise NotAllowed("A run's token changes no registered model that has versions of other runs.")
