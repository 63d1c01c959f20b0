"""How runs are selected."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db.models import Prefetch, QuerySet

from projects.querysets import Viewer, is_staff
from runs.lifecycle import Status

if TYPE_CHECKING:
    from runs.models import Run  # noqa: F401 - named in the base class below


class RunQuerySet(QuerySet["Run"]):
    """Runs; start from `visible_to` wherever a person asks."""

    def visible_to(self, user: Viewer) -> Self:
        """Keep the runs of the projects that `user` is a member of; operators see all, nobody sees deleted ones."""
        kept = self.not_deleted()
        if is_staff(user):
            return kept
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return kept.filter(project__memberships__user=user)

    def not_deleted(self) -> Self:
        """Leave out the runs that were deleted and are only waiting for their rows and files to go."""
        return self.filter(deleted_at=None)

    def listed(self) -> Self:
        """Keep what lists of all runs show, in no order. One query, as deleted runs are rare and soon gone:

        while there is none nothing is left out, so that lists can be read from indexes alone.
        """
        rows = self.order_by()
        return rows.not_deleted() if self.filter(deleted_at__isnull=False).exists() else rows

    def with_log(self) -> Self:
        """Keep the runs that have ended and still have a log, but for the deleted ones."""
        return self.not_deleted().filter(completed_at__isnull=False, log_removed_at=None, telemetry__log_lines__gt=0)

    def with_metrics(self) -> Self:
        """Keep the runs that have ended and still have a metric history, but for the deleted ones."""
        return self.not_deleted().filter(
            completed_at__isnull=False, metrics_removed_at=None, telemetry__metric_points__gt=0
        )

    def ended_before(self, moment: datetime) -> Self:
        """Keep the runs that ended before `moment`, oldest end first."""
        return self.filter(completed_at__lt=moment).order_by("completed_at", "id")

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
