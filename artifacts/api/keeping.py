"""API of keeping: which checkpoints a rule would remove, and what takes room in the store."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from artifacts.filters import StorageFilter
from artifacts.keeping.plan import MOST_RUNS, plan_project
from artifacts.keeping.rule import RULE_FIELDS, CheckpointRule, Holds, Verdict
from artifacts.models import Artifact
from artifacts.usage import UsageRow, disk_of_store, level_of, read_usage
from projects.api.serializers import CheckpointRuleSerializer
from projects.models import MetricGoal
from projects.querysets import is_staff
from projects.services import check_checkpoint_rule
from trainhub.api.filtering import checked_filter, filter_names, filter_parameters
from trainhub.api.paging import PAGE_PARAMETERS, read_page_request
from trainhub.api.renderers import api_time
from trainhub.api.schema import PAGING, errors
from trainhub.api.serializers import UtcTimeField
from trainhub.api.views import HubView, validated


class GoingSerializer(serializers.Serializer[Any]):
    """A checkpoint that would go."""

    id = serializers.CharField()
    name = serializers.CharField()
    step = serializers.IntegerField(allow_null=True)
    size_bytes = serializers.IntegerField()
    created_at = UtcTimeField()
    run_id = serializers.CharField()
    run_name = serializers.CharField()
    why = serializers.CharField()


class PlanTotalsSerializer(serializers.Serializer[Any]):
    """What would go in all; `runs_seen` runs have more checkpoints than the newest that the rule keeps."""

    checkpoints = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    runs = serializers.IntegerField()
    runs_seen = serializers.IntegerField()
    runs_left = serializers.IntegerField(help_text=f"Of runs_seen, beyond the oldest {MOST_RUNS}: not judged here.")
    untold = serializers.IntegerField(help_text="Checkpoints that stay only as nobody can tell which are the best.")


class CheckpointPlanSerializer(CheckpointRuleSerializer):
    """What would go now by a rule."""

    totals = PlanTotalsSerializer()
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    total = serializers.IntegerField()
    items = GoingSerializer(many=True)


def describe_going(verdict: Verdict) -> dict[str, Any]:
    """Return a checkpoint that would go, as the API shows it."""
    one = verdict.checkpoint
    return {
        "id": one.uid,
        "name": one.name,
        "step": one.step,
        "size_bytes": one.size_bytes,
        "created_at": api_time(one.created_at),
        "run_id": one.run_uid,
        "run_name": one.run_name,
        "why": verdict.why,
    }


class CheckpointPlanView(HubView):
    """A dry run of the rule for checkpoints."""

    query_parameters = PAGE_PARAMETERS | set(RULE_FIELDS)

    @extend_schema(
        operation_id="projects_checkpoint_plan",
        parameters=[
            OpenApiParameter("keep_last_checkpoints", int, description="In place of the project's own."),
            OpenApiParameter("keep_best_checkpoints", int, description="In place of the project's own."),
            OpenApiParameter("best_metric", str, description="In place of the project's own."),
            OpenApiParameter("best_metric_goal", str, enum=MetricGoal.values, description="As above."),
            *PAGING,
        ],
        responses={200: CheckpointPlanSerializer, **errors(400, 401, 404)},
    )
    def get(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        """List the checkpoints that would go now, run by run, newest first. Nothing is changed.

        Of a project with many runs the oldest are judged; `totals.runs_left` tells how many others were not.
        """
        wanted = read_page_request(request.query_params)
        project = self.get_project()
        asked = {name: request.query_params[name] for name in RULE_FIELDS if name in request.query_params}
        values = {name: getattr(project, name) for name in RULE_FIELDS} | validated(CheckpointRuleSerializer, asked)
        rule = CheckpointRule.of_columns(*(values[name] for name in RULE_FIELDS))
        check_checkpoint_rule(best=rule.best, metric=rule.metric)
        plan = plan_project(project, rule, now=timezone.now(), most_runs=MOST_RUNS)
        shown = plan.going[wanted.start : wanted.start + wanted.size]
        return Response(
            {
                **values,
                "totals": {
                    "checkpoints": len(plan.going),
                    "size_bytes": plan.size_bytes,
                    "runs": plan.runs,
                    "runs_seen": plan.runs_seen,
                    "runs_left": plan.runs_left,
                    "untold": plan.untold,
                },
                "page": wanted.number,
                "page_size": wanted.size,
                "total": len(plan.going),
                "items": [describe_going(verdict) for verdict in shown],
            }
        )


class KeptBySerializer(serializers.Serializer[Any]):
    """What keeps a checkpoint: a kind for programs and words for people."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in Holds])
    text = serializers.CharField()


class StorageRowSerializer(serializers.Serializer[Any]):
    """A project, a run or an artifact, and the bytes that it takes; what a row is not is null."""

    project_id = serializers.CharField(source="project_uid")
    project_name = serializers.CharField()
    run_id = serializers.CharField(source="run_uid", allow_null=True)
    run_name = serializers.CharField(allow_null=True)
    artifact_id = serializers.CharField(source="uid", allow_null=True)
    artifact_name = serializers.CharField(source="name", allow_null=True)
    type = serializers.CharField(allow_null=True)
    state = serializers.CharField(allow_null=True)
    step = serializers.IntegerField(allow_null=True)
    created_at = UtcTimeField(allow_null=True)
    size_bytes = serializers.IntegerField()
    checkpoint_bytes = serializers.IntegerField(help_text="Of size_bytes.")
    artifacts = serializers.IntegerField()
    kept_by = KeptBySerializer(many=True)
    goes = serializers.BooleanField(allow_null=True, help_text="Of a checkpoint: whether nothing keeps it.")


class StorageSerializer(serializers.Serializer[Any]):
    """What takes room, largest first; disk_* are of the store's file system and for operators alone."""

    size_bytes = serializers.IntegerField()
    artifacts = serializers.IntegerField()
    disk_free_bytes = serializers.IntegerField(allow_null=True)
    disk_total_bytes = serializers.IntegerField(allow_null=True)
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    total = serializers.IntegerField()
    items = StorageRowSerializer(many=True)


def describe_rows(rows: list[UsageRow]) -> Any:
    """Return rows as the API shows them."""
    return StorageRowSerializer(rows, many=True).data


class StorageView(HubView):
    """What takes room in the store."""

    query_parameters = PAGE_PARAMETERS | filter_names(StorageFilter)

    @extend_schema(
        operation_id="storage_list",
        parameters=[*filter_parameters(StorageFilter), *PAGING],
        responses={200: StorageSerializer, **errors(400, 401)},
    )
    def get(self, request: Request) -> Response:
        """Sum the bytes of the artifacts that the caller may see, by project, run or artifact, largest first."""
        wanted = read_page_request(request.query_params)
        found = checked_filter(StorageFilter, request.query_params, Artifact.objects.visible_to(request.user))
        usage = read_usage(found.qs, level_of(found.form.cleaned_data), wanted, now=timezone.now())
        disk = disk_of_store() if is_staff(request.user) else None
        return Response(
            {
                "size_bytes": usage.size_bytes,
                "artifacts": usage.artifacts,
                "disk_free_bytes": disk.free_bytes if disk else None,
                "disk_total_bytes": disk.total_bytes if disk else None,
                "page": wanted.number,
                "page_size": wanted.size,
                "total": usage.total,
                "items": describe_rows(usage.rows),
            }
        )
