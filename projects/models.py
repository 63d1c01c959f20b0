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
    log_retention_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Days after its end that a run keeps its log; empty: for ever."
    )
    metric_retention_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Days after its end that a run keeps its metric history; empty: for ever."
    )
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
        """Return the number of runs for each status that occurs. One query, asked once for this object."""
        if not hasattr(self, "_run_counts"):
            rows = self.runs.not_deleted().order_by().values("status").annotate(count=models.Count("id"))
            self._run_counts = {row["status"]: row["count"] for row in rows}
        return self._run_counts


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
