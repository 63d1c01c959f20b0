"""How runs are selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db.models import Prefetch, QuerySet

from projects.querysets import Viewer, is_staff
from runs.lifecycle import Status

if TYPE_CHECKING:
    from runs.models import Run  # noqa: F401 - named in the base class below


class RunQuerySet(QuerySet["Run"]):
    """Runs; start from `visible_to` wherever a person asks."""

    def visible_to(self, user: Viewer) -> Self:
        """Keep the runs of the projects that `user` is a member of; operators see all."""
        if is_staff(user):
            return self
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self.filter(project__memberships__user=user)

    def of_projects(self, keys: tuple[int, ...] | None) -> Self:
        """Keep the runs of the projects with these keys, None for all: what lists use instead of a join."""
        return self if keys is None else self.filter(project__in=keys)

    def waiting(self) -> Self:
        """Keep the runs to start next: highest priority first, then longest waiting."""
        return self.filter(status=Status.QUEUED, is_managed=True).order_by("-priority", "queued_at", "id")

    def with_details(self) -> Self:
        """Load what a run's answer shows: project, people, newest metrics, attempts; two more queries for a list."""
        return self.select_related("project", "created_by", "resumed_from__run").prefetch_related(
            "newest_metrics", "attempts"
        )

    def with_table_columns(self) -> Self:
        """Load what a table of runs on a page shows, and leave out what is wide; two more queries for a list."""
        from runs.models import RunMetric  # the models import this module

        losses = RunMetric.objects.filter(key__contains="loss")
        return (
            self.select_related("project", "created_by")
            .defer("recipe_snapshot", "model_parameters", "hyperparameters", "compute", "description", "dataset")
            .prefetch_related(Prefetch("newest_metrics", losses), "attempts")
        )
