"""Projects, who belongs to them, API tokens, and answers kept for repeated requests."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from knox.models import AbstractAuthToken
from simple_history.models import HistoricalRecords

from projects.querysets import ProjectQuerySet
from projects.uids import new_project_uid

MAX_RETENTION_DAYS = 36_500  # a century; more is as good as for ever
MAX_LIMIT = 1_000_000  # of runs or GPUs at once
MAX_KEPT_CHECKPOINTS = 10_000  # of one run; more is as good as all


class ProjectStatus(models.TextChoices):
    """`draft` until the first run, then `active`; `archived` on request."""

    DRAFT = "draft"
    ACTIVE = "active"
    ARCHIVED = "archived"


class Role(models.TextChoices):
    """What a member may do: read; also launch, cancel and tag; also manage members and settings."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Tell whether this role may do all that `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class MetricGoal(models.TextChoices):
    """Which values of a metric are good."""

    MINIMUM = "min"
    MAXIMUM = "max"


class Project(models.Model):
    """A goal, the defaults for its runs, and the people who work on it."""

    uid = models.CharField(max_length=32, unique=True, editable=False, default=new_project_uid)
    name = models.CharField(max_length=200)
    description = models.TextField(max_length=10_000, blank=True, default="")
    objective = models.TextField(max_length=10_000, blank=True, default="")
    task_type = models.CharField(max_length=100, blank=True, default="")
    base_model = models.CharField(max_length=300, blank=True, default="")
    owner = models.CharField(max_length=200, blank=True, default="", help_text="Free text, as the team writes it.")
    tags = models.JSONField(default=list, blank=True)
    default_hyperparameters = models.JSONField(default=dict, blank=True)
    default_recipe = models.CharField(max_length=64, blank=True, default="")
    default_executor = models.CharField(max_length=64, blank=True, default="")
    max_running_runs = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Runs of the project that may run at once; empty: as many as there is room for.",
    )
    max_gpus = models.PositiveIntegerField(
        null=True, blank=True, help_text="GPUs that runs of the project may use at once; empty: as many as there are."
    )
    log_retention_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Days after its end that a run keeps its log; empty: for ever."
    )
    metric_retention_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Days after its end that a run keeps its metric history; empty: for ever."
    )
    keep_last_checkpoints = models.PositiveIntegerField(
        null=True, blank=True, help_text="Newest checkpoints that each ended run keeps; empty: all."
    )
    keep_best_checkpoints = models.PositiveIntegerField(
        default=0, blank=True, help_text="Besides, this many with the best value of the metric."
    )
    best_metric = models.CharField(max_length=250, blank=True, default="", help_text="Such as eval_loss.")
    best_metric_goal = models.CharField(max_length=3, choices=MetricGoal.choices, default=MetricGoal.MINIMUM)
    status = models.CharField(max_length=16, choices=ProjectStatus.choices, default=ProjectStatus.DRAFT)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = HistoricalRecords(excluded_fields=["updated_at"])
    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=ProjectStatus.values), name="project_status_known"),
            models.CheckConstraint(condition=~Q(name=""), name="project_name_not_empty"),
            models.CheckConstraint(
                condition=Q(log_retention_days=None) | Q(log_retention_days__range=(1, MAX_RETENTION_DAYS)),
                name="project_log_retention_range",
            ),
            models.CheckConstraint(
                condition=Q(metric_retention_days=None) | Q(metric_retention_days__range=(1, MAX_RETENTION_DAYS)),
                name="project_metric_retention_range",
            ),
            models.CheckConstraint(
                condition=Q(best_metric_goal__in=MetricGoal.values), name="project_metric_goal_known"
            ),
            models.CheckConstraint(
                condition=Q(keep_last_checkpoints=None) | Q(keep_last_checkpoints__range=(1, MAX_KEPT_CHECKPOINTS)),
                name="project_last_checkpoints_range",
            ),
            models.CheckConstraint(
                condition=Q(keep_best_checkpoints=0)
                | (Q(keep_best_checkpoints__range=(1, MAX_KEPT_CHECKPOINTS)) & ~Q(best_metric="")),
                name="project_best_checkpoints_by_metric",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def role_of(self, user: Any) -> Role | None:
        """Return the role of `user` here: admin for operators, None for strangers. One query at most."""
        if user.is_staff and user.is_active:
            return Role.ADMIN
        role = self.memberships.filter(user=user).values_list("role", flat=True).first()
        return Role(role) if role else None

    def count_runs_by_status(self) -> dict[str, int]:
        """Return the number of runs that are not archived, for each status that occurs. One query, asked once."""
        if not hasattr(self, "_run_counts"):
            rows = self.runs.not_deleted().not_archived().order_by().values("status").annotate(count=models.Count("id"))
            self._run_counts = {row["status"]: row["count"] for row in rows}
        return self._run_counts


class ExperimentTag(models.Model):
    """A tag that a tracking client put on a project: to MLflow a project is an experiment."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="experiment_tags", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField(max_length=20_000, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "key"], name="experiment_tag_once")]

    def __str__(self) -> str:
        return f"{self.key} = {self.value}"


class Membership(models.Model):
    """The role of one person in one project."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.project}: {self.role}"


class ApiToken(AbstractAuthToken):
    """A person's bearer token; only its hash is kept."""

    name = models.CharField(max_length=100, blank=True, default="")

    class Meta(AbstractAuthToken.Meta):
        swappable = "KNOX_TOKEN_MODEL"
        ordering = ["-created"]

    def __str__(self) -> str:
        return f"{self.name or 'token'} ({self.token_key}…)"


class IdempotentAnswer(models.Model):
    """The first answer to a request that carried an Idempotency-Key, given again to its repetitions."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_digest = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status_code = models.PositiveSmallIntegerField(default=0)
    body = models.JSONField(default=dict)
    location = models.CharField(max_length=500, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return self.key


class Visit(models.Model):
    """When a person looked at the home page: what ended since the visit before is news.

    A visit goes on until nothing was looked at for a while; `since` is the last look of the visit before it.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+")
    looked_at = models.DateTimeField()
    since = models.DateTimeField(null=True, help_text="None during the first visit.")

    def __str__(self) -> str:
        return f"visit of {self.user_id}"
