"""A run: one training, from its definition to its end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from projects.models import Project
from projects.uids import new_run_uid
from runs.lifecycle import OUTCOMES, TERMINAL, Reason, Status
from runs.querysets import RunQuerySet

if TYPE_CHECKING:
    from runs.models.parameter import RunParameter

# What list filters look at. Every index for a list ends with it, so that filtering never reads the wide rows: on
# SQLite that is 20 ms instead of 400 ms for 100,000 runs that do not fit.
_LOOKED_AT = ["project", "status", "recipe", "executor", "created_by", "name", "archived_at"]


def _newest(*first: str) -> list[str]:
    return [*first, "-created_at", "-id", *(name for name in _LOOKED_AT if name not in first)]


class Run(models.Model):
    """One training. `status` is written by `runs.lifecycle.transition` alone.

    `model_parameters` and `hyperparameters` are what was asked for, with the project's defaults; the recipe's
    own defaults are added when the trainer starts, from `recipe_snapshot`, which also holds the schemas.
    """

    uid = models.CharField(max_length=32, unique=True, editable=False, default=new_run_uid)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="runs")
    name = models.CharField(max_length=200)
    description = models.TextField(max_length=10_000, blank=True, default="")

    recipe = models.CharField(max_length=64)
    recipe_snapshot = models.JSONField(default=dict)
    recipe_digest = models.CharField(max_length=64, blank=True, default="")
    dataset = models.CharField(max_length=2000, blank=True, default="")
    model_parameters = models.JSONField(default=dict, blank=True)
    hyperparameters = models.JSONField(default=dict, blank=True)
    compute = models.JSONField(default=dict, blank=True)
    executor = models.CharField(max_length=64)
    is_managed = models.BooleanField(default=True, help_text="False: made by a tracking client, nothing is executed.")
    is_simulated = models.BooleanField(default=False)
    priority = models.SmallIntegerField(default=0, help_text="-100 to 100; higher starts first.")
    max_restarts = models.PositiveSmallIntegerField(default=0, help_text="New attempts after a crash.")
    resumed_from = models.ForeignKey(
        "artifacts.Artifact", null=True, blank=True, on_delete=models.PROTECT, related_name="resumed_runs"
    )

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    status_changed_at = models.DateTimeField(default=timezone.now)
    reason = models.CharField(max_length=32, choices=Reason.choices, blank=True, default="")
    reason_detail = models.CharField(max_length=1000, blank=True, default="")
    waiting_reason = models.CharField(max_length=500, blank=True, default="")
    waiting_checked_at = models.DateTimeField(null=True, blank=True)
    progress = models.FloatField(default=0.0, help_text="0 to 1.")

    created_by = models.ForeignKey(  # no index of its own: SQLite would sort all runs of a person by it
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now)
    queued_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(default=timezone.now)
    log_removed_at = models.DateTimeField(null=True, blank=True, help_text="Since then nobody sees the log.")
    metrics_removed_at = models.DateTimeField(null=True, blank=True, help_text="Since then nobody sees the history.")
    archived_at = models.DateTimeField(null=True, blank=True, help_text="Since then lists leave the run out.")
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="Since then nobody sees the run.")

    # What `with_page_details` loads beside the columns.
    viewer_role: str
    log_lines: int
    newest_event: int
    artifact_count: int
    is_resumed: bool
    launch_defaults: dict[str, Any] | None
    newest_at: datetime | None
    logged_steps: float | None
    is_tracked: bool
    reserves: bool | None = None  # what `with_needs` loads; without it the recipe's snapshot says so
    # What `with_parent` and `with_logged_parameters` load.
    parent_uid: str | None
    parent_name: str | None
    client_end_time: int | None
    logged: list[RunParameter]

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=_newest(), name="run_newest_listed"),
            models.Index(fields=_newest("project"), name="run_newest_of_project"),
            models.Index(fields=_newest("status"), name="run_newest_of_status"),
            models.Index(fields=["name", "-id", "project", "archived_at"], name="run_by_name"),
            models.Index(fields=["-progress", "-id", "project", "archived_at"], name="run_by_progress"),
            models.Index(fields=["-priority", "-id", "project", "archived_at"], name="run_by_priority"),
            models.Index(fields=["-completed_at", "-id", "project", "archived_at"], name="run_by_end"),
            models.Index(
                fields=["-priority", "queued_at"],
                name="run_not_ended",
                condition=~Q(status__in=sorted(TERMINAL)),
            ),
            # What retention asks every time: ended runs that still have a log, or a metric history, oldest end first.
            models.Index(
                fields=["project", "completed_at"],
                name="run_with_log",
                condition=Q(completed_at__isnull=False, log_removed_at=None),
            ),
            models.Index(
                fields=["project", "completed_at"],
                name="run_with_metrics",
                condition=Q(completed_at__isnull=False, metrics_removed_at=None),
            ),
            models.Index(fields=["deleted_at"], name="run_deleted", condition=Q(deleted_at__isnull=False)),
            models.Index(fields=["archived_at"], name="run_archived", condition=Q(archived_at__isnull=False)),
            # When tracking clients see a managed run start; of an external one they say so themselves.
            models.Index(
                Coalesce("started_at", "created_at").desc(),
                F("id").desc(),
                name="run_newest_managed",
                condition=Q(is_managed=True),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=Status.values), name="run_status_known"),
            models.CheckConstraint(condition=Q(reason__in=["", *Reason.values]), name="run_reason_known"),
            models.CheckConstraint(condition=Q(progress__gte=0, progress__lte=1), name="run_progress_0_to_1"),
            models.CheckConstraint(
                condition=Q(status__in=sorted(TERMINAL), completed_at__isnull=False)
                | (~Q(status__in=sorted(TERMINAL)) & Q(completed_at__isnull=True)),
                name="run_ended_has_time",
            ),
            models.CheckConstraint(condition=Q(priority__gte=-100, priority__lte=100), name="run_priority_range"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.uid})"

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended for good."""
        return self.status in TERMINAL

    @property
    def trained_until(self) -> datetime | None:
        """When the training ended, None while it goes on: of an external run as its client says, else `completed_at`.

        What the client says came with the run (`with_client_end`); it is not before the start, nor after the hub's end.
        """
        told = getattr(self, "client_end_time", None)
        if self.is_managed or told is None or self.completed_at is None or self.started_at is None:
            return self.completed_at
        if told / 1000 >= self.completed_at.timestamp():
            return self.completed_at
        return max(self.started_at, datetime.fromtimestamp(told / 1000, UTC))

    @property
    def reason_text(self) -> str:
        """A sentence for people on why the run ended; empty while it has not."""
        if not self.reason:
            return ""
        return " ".join(filter(None, [OUTCOMES[Reason(self.reason)].text, self.reason_detail]))

    @property
    def reserved(self) -> tuple[int, int]:
        """Nodes, and GPUs on each, to reserve; (1, 0) for recipes that reserve nothing, such as a simulation."""
        if not (self.recipe_snapshot.get("reserves_compute", True) if self.reserves is None else self.reserves):
            return 1, 0
        return int(self.compute.get("node_count", 1)), int(self.compute.get("gpus_per_node", 0))

    @property
    def grace_seconds(self) -> float:
        """How long the trainer may take to save after SIGTERM, in seconds."""
        return float(self.recipe_snapshot.get("grace_seconds", 30))
