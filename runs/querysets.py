"""How runs are selected."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db.models import Case, Count, Exists, F, JSONField, OuterRef, Prefetch, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from projects.models import Membership, Project
from projects.querysets import Viewer, is_staff
from runs.lifecycle import Status
from runs.parameters import LOGGED

if TYPE_CHECKING:
    from runs.models import Run  # noqa: F401 - named in the base class below

WIDE_COLUMNS = ("recipe_snapshot", "model_parameters", "hyperparameters", "compute", "description", "dataset")


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

    def not_archived(self) -> Self:
        """Leave out the runs that were put into the archive."""
        return self.filter(archived_at=None)

    def listed(self, archived: str = "") -> Self:
        """Keep what lists of all runs show, in no order.

        `archived` is "true" for the archived runs alone, "all" for them as well, anything else for none of them.
        One query, which tells whether there are deleted runs (rare, and soon gone) and archived ones: while there is
        none nothing is left out, so that lists can be read from the indexes that need not look at it.
        """
        every = type(self)(self.model, using=self.db).order_by()
        are_there = (Exists(every.filter(deleted_at__isnull=False)), Exists(every.filter(archived_at__isnull=False)))
        some_deleted, some_archived = next(iter(every.values_list(*are_there)[:1]), (False, False))
        rows = self.order_by()
        if some_deleted:
            rows = rows.not_deleted()
        if archived == "true":
            return rows.filter(archived_at__isnull=False)
        return rows.not_archived() if some_archived and archived != "all" else rows

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

    def with_needs(self) -> Self:
        """Load what the scheduler decides by and nothing else; `reserves`: whether what it asks for is reserved.

        Of 10,000 waiting runs that is 1 MB instead of 60, as the recipes' snapshots stay where they are.
        """
        names = ("executor", "recipe", "project_id", "compute", "status", "waiting_reason", "waiting_checked_at")
        return self.annotate(
            reserves=Coalesce(F("recipe_snapshot__reserves_compute"), Value(value=True, output_field=JSONField()))
        ).only(*names)

    def with_details(self) -> Self:
        """Load what a run's answer shows: project, people, newest metrics, attempts; two more queries for a list."""
        loaded = self.select_related("project", "created_by", "resumed_from__run").with_parent()
        return loaded.prefetch_related("newest_metrics", _attempts_with_origin())

    def with_viewer_role(self, user: Viewer) -> Self:
        """Add `viewer_role`: the role of `user` in the project, empty for none; operators need none."""
        role = Membership.objects.filter(project=OuterRef("project"), user_id=user.pk or 0).values("role")[:1]
        return self.annotate(viewer_role=Coalesce(Subquery(role), Value("")))

    def with_page_details(self, user: Viewer) -> Self:
        """Load what the page of one run shows at once; two more queries.

        Beside `with_details` and `with_viewer_role`: `log_lines`, `newest_event` (its id), `artifact_count`,
        `is_resumed` (others go on from a checkpoint of it), `launch_defaults` (the project's hyperparameters when it
        was launched; None without such a version); `newest_at` (when metrics last came), `logged_steps` (max_steps as
        a tracking client logged it) and `is_tracked` (a client told more of it than metrics).
        """
        from runs.models import RunEvent, RunParameter  # the models import this module

        newest = RunEvent.objects.filter(run=OuterRef("pk")).order_by("-id").values("pk")[:1]
        same = self.model.objects.filter(pk=OuterRef("pk")).order_by().values("pk")
        whole = same.annotate(count=Count("artifacts", filter=~Q(artifacts__state="writing"))).values("count")
        children = self.model.objects.not_deleted().filter(resumed_from__run=OuterRef("pk"))
        versions = Project.history.filter(id=OuterRef("project"), history_date__lte=OuterRef("created_at"))
        defaults = versions.order_by("-history_date", "-history_id").values("default_hyperparameters")[:1]
        steps = RunParameter.objects.filter(run=OuterRef("pk"), group=LOGGED, name="max_steps").values("number")[:1]
        return (
            self.with_details()
            .with_viewer_role(user)
            .defer("resumed_from__manifest")
            .annotate(
                log_lines=Coalesce("telemetry__log_lines", 0),
                newest_event=Coalesce(Subquery(newest), 0),
                artifact_count=Coalesce(Subquery(whole), 0),
                is_resumed=Exists(children),
                launch_defaults=Subquery(defaults),
                newest_at=F("telemetry__newest_at"),
                logged_steps=Subquery(steps),
                is_tracked=_told_by_clients(),
            )
        )

    def with_parent(self) -> Self:
        """Add `parent_uid` and `parent_name` of the run below which a tracking client nested each; None for none.

        And `client_end_time`, as `with_client_end` does.
        """
        kept = Q(tracking__parent__deleted_at=None)
        name, uid = (When(kept, then=F(f"tracking__parent__{field}")) for field in ("name", "uid"))
        return self.with_client_end().annotate(parent_name=Case(name), parent_uid=Case(uid))

    def with_client_end(self) -> Self:
        """Add `client_end_time`: when tracking clients say that each ended, ms since 1970 UTC; None where none did."""
        return self.annotate(client_end_time=F("tracking__end_time"))

    def with_logged_parameters(self) -> Self:
        """Load as `logged` the parameters that tracking clients wrote; one more query."""
        from runs.models import RunParameter  # the models import this module

        logged = RunParameter.objects.filter(group=LOGGED)
        return self.prefetch_related(Prefetch("parameters", logged, to_attr="logged"))

    def without_wide_columns(self) -> Self:
        """Leave what a run was given with the database until it is asked for: lists show none of it."""
        return self.defer(*WIDE_COLUMNS)


def _told_by_clients() -> Q:
    """Tell whether a tracking client nested a run, or wrote tags, parameters or datasets of it."""
    from runs.models import RunDataset, RunParameter, RunTag, RunTracking  # the models import this module

    of_run = {"run": OuterRef("pk")}
    tracked = Q(Exists(RunTracking.objects.filter(Q(**of_run) | Q(parent=OuterRef("pk")))))
    tagged, read = Q(Exists(RunTag.objects.filter(**of_run))), Q(Exists(RunDataset.objects.filter(**of_run)))
    return tracked | tagged | read | Q(Exists(RunParameter.objects.filter(**of_run, group=LOGGED)))


def _attempts_with_origin() -> Prefetch:  # type: ignore[type-arg]
    """Load the attempts with the checkpoints they went on from, but for the lists of files in those."""
    from runs.models import Attempt  # the models import this module

    return Prefetch("attempts", Attempt.objects.select_related("resume_from").defer("resume_from__manifest"))
