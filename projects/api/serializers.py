"""Shapes of projects, members and tokens in the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from projects.models import (
    MAX_KEPT_CHECKPOINTS,
    MAX_LIMIT,
    MAX_RETENTION_DAYS,
    ApiToken,
    Membership,
    MetricGoal,
    Project,
    Role,
)
from projects.services import EDITABLE_FIELDS
from trainhub.api.renderers import api_time
from trainhub.api.serializers import ParametersField, StrictSerializer, UtcTimeField

EMBEDDED_RUNS = 100  # newest runs inside a project's answer; `runs_total` and `runs_url` lead to the rest
MAX_TAGS = 50


class ProjectSummarySerializer(serializers.ModelSerializer[Project]):
    """A project in a list."""

    id = serializers.CharField(source="uid")
    created_at = UtcTimeField()
    updated_at = UtcTimeField()

    class Meta:
        model = Project
        fields = ["id", "name", "status", "owner", "task_type", "base_model", "tags", "created_at", "updated_at"]


class RunBriefSerializer(serializers.Serializer[Any]):
    """A run inside its project."""

    id = serializers.CharField(source="uid")
    project_id = serializers.CharField(source="project.uid")
    name = serializers.CharField()
    status = serializers.CharField()
    started_at = UtcTimeField(allow_null=True)
    progress = serializers.FloatField()
    simulated = serializers.BooleanField(source="is_simulated")


class VersionSerializer(serializers.Serializer[Any]):
    """One version of a project's settings: who made it, when, and what it changed."""

    version = serializers.IntegerField()
    changed_at = UtcTimeField()
    changed_by = serializers.CharField(allow_null=True)
    change = serializers.CharField(help_text="created or changed")
    changes = serializers.DictField(help_text="Field → {from, to}")


class ProjectSerializer(serializers.ModelSerializer[Project]):
    """A project with its newest runs and what is counted of them."""

    id = serializers.CharField(source="uid")
    created_at = UtcTimeField()
    updated_at = UtcTimeField()
    default_hyperparameters = ParametersField()
    runs = serializers.SerializerMethodField()
    runs_total = serializers.SerializerMethodField()
    runs_url = serializers.SerializerMethodField()
    run_counts = serializers.SerializerMethodField()

    class Meta:
        model = Project
        fields = [
            "id", "name", "description", "status", "objective", "task_type", "base_model", "owner", "created_at",
            "updated_at", "tags", "default_hyperparameters", "default_recipe", "default_executor",
            "max_running_runs", "max_gpus", "log_retention_days", "metric_retention_days",
            "keep_last_checkpoints", "keep_best_checkpoints", "best_metric", "best_metric_goal",
            "runs", "runs_total", "runs_url", "run_counts",
        ]  # fmt: skip

    @extend_schema_field(RunBriefSerializer(many=True))
    def get_runs(self, project: Project) -> list[dict[str, Any]]:
        """Return the newest runs that are not archived; `runs_total` says how many there are."""
        newest = (
            project.runs.not_deleted()
            .not_archived()
            .values_list("uid", "name", "status", "started_at", "progress", "is_simulated")
        )
        return [
            {
                "id": uid,
                "project_id": project.uid,
                "name": name,
                "status": status,
                "started_at": api_time(started_at),
                "progress": progress,
                "simulated": is_simulated,
            }
            for uid, name, status, started_at, progress, is_simulated in newest[:EMBEDDED_RUNS]
        ]

    def get_runs_total(self, project: Project) -> int:
        """Return the number of runs that are not archived."""
        return sum(project.count_runs_by_status().values())

    def get_runs_url(self, project: Project) -> str:
        """Return the path that lists all runs by pages."""
        return f"/projects/{project.uid}/runs"

    def get_run_counts(self, project: Project) -> dict[str, int]:
        """Return the number of runs that are not archived, by status."""
        return project.count_runs_by_status()


class RetentionDaysField(serializers.IntegerField):
    """Days after a run's end; null keeps for ever."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_RETENTION_DAYS, allow_null=True, required=False, **options)


class LimitField(serializers.IntegerField):
    """How many at once; null is no limit."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=MAX_LIMIT, allow_null=True, required=False, **options)


class CheckpointRuleSerializer(StrictSerializer):
    """Which checkpoints an ended run keeps."""

    keep_last_checkpoints = serializers.IntegerField(
        min_value=1,
        max_value=MAX_KEPT_CHECKPOINTS,
        allow_null=True,
        required=False,
        help_text="Newest checkpoints that each ended run keeps; null: all.",
    )
    keep_best_checkpoints = serializers.IntegerField(
        min_value=0,
        max_value=MAX_KEPT_CHECKPOINTS,
        required=False,
        help_text="Besides, this many with the best value of best_metric.",
    )
    best_metric = serializers.CharField(
        max_length=250, allow_blank=True, required=False, help_text="Such as eval_loss."
    )
    best_metric_goal = serializers.ChoiceField(
        choices=MetricGoal.choices, required=False, help_text="Whether low or high values are good."
    )


class ProjectRequestSerializer(CheckpointRuleSerializer):
    """What creates a project."""

    name = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=10_000, allow_blank=True, required=False)
    objective = serializers.CharField(max_length=10_000, allow_blank=True, required=False)
    task_type = serializers.CharField(max_length=100, allow_blank=True, required=False)
    base_model = serializers.CharField(max_length=300, allow_blank=True, required=False)
    owner = serializers.CharField(max_length=200, allow_blank=True, required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=100), max_length=MAX_TAGS, required=False)
    default_hyperparameters = ParametersField(required=False)
    default_recipe = serializers.RegexField(r"^[a-z0-9_-]*$", max_length=64, allow_blank=True, required=False)
    default_executor = serializers.RegexField(r"^[a-z0-9_-]*$", max_length=64, allow_blank=True, required=False)
    max_running_runs = LimitField(
        help_text="Runs of the project that may run at once; null: no limit. Set by operators."
    )
    max_gpus = LimitField(help_text="GPUs that its runs may hold at once; null: no limit. Set by operators.")
    log_retention_days = RetentionDaysField(help_text="Days after its end that a run keeps its log; null: for ever.")
    metric_retention_days = RetentionDaysField(
        help_text="Days after its end that a run keeps its metric history; null: for ever."
    )


class ProjectChangeSerializer(ProjectRequestSerializer):
    """What changes a project: only the fields that are sent."""

    name = serializers.CharField(max_length=200, required=False)


class MemberSerializer(serializers.ModelSerializer[Membership]):
    """A person's role in a project."""

    username = serializers.CharField(source="user.username")
    created_at = UtcTimeField()

    class Meta:
        model = Membership
        fields = ["username", "role", "created_at"]


class MemberRequestSerializer(StrictSerializer):
    """Gives a person a role."""

    username = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(choices=Role.choices)


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token of one's own, without the secret."""

    id = serializers.CharField(source="token_key")
    created_at = UtcTimeField(source="created")
    expires_at = UtcTimeField(source="expiry", allow_null=True)

    class Meta:
        model = ApiToken
        fields = ["id", "name", "created_at", "expires_at"]


class NewTokenSerializer(TokenSerializer):
    """A token just made; `token` is shown this once."""

    token = serializers.CharField(allow_null=True)

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "token"]


class TokenRequestSerializer(StrictSerializer):
    """Makes a token."""

    name = serializers.CharField(max_length=100)
    days = serializers.IntegerField(min_value=1, max_value=365, required=False)


def describe_versions(project: Project) -> list[dict[str, Any]]:
    """Return the versions of a project's settings, newest first, each with what it changed."""
    records = list(project.history.select_related("history_user").order_by("history_id"))
    versions = []
    for number, (before, record) in enumerate(zip([None, *records], records, strict=False), start=1):
        versions.append(
            {
                "version": number,
                "changed_at": api_time(record.history_date),
                "changed_by": record.history_user.get_username() if record.history_user else None,
                "change": "created" if record.history_type == "+" else "changed",
                "changes": _differences(before, record),
            }
        )
    return versions[::-1]


def _differences(before: Any, record: Any) -> dict[str, Any]:
    if before is None:
        return {}
    names = [*EDITABLE_FIELDS, "status"]
    return {
        name: {"from": getattr(before, name), "to": getattr(record, name)}
        for name in names
        if getattr(before, name) != getattr(record, name)
    }
