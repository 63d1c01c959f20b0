"""API of a project's retention: what would go, before it goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from projects.models import MAX_RETENTION_DAYS
from runs.models import Run
from runs.retention import RetentionRule, add_up, next_removal, would_go
from runs.telemetry.point_packing import POINT_BYTES
from trainhub.api.paging import PAGE_PARAMETERS, page_of, read_page_request, whole_number
from trainhub.api.renderers import api_time
from trainhub.api.schema import PAGING, errors
from trainhub.api.serializers import UtcTimeField
from trainhub.api.views import HubView


class LossSerializer(serializers.Serializer[Any]):
    """What a run would lose; 0 where that stays. Bytes are those before packing, the database holds fewer."""

    id = serializers.CharField()
    name = serializers.CharField()
    status = serializers.CharField()
    completed_at = UtcTimeField()
    log_lines = serializers.IntegerField()
    log_bytes = serializers.IntegerField(help_text="UTF-8 bytes of the lines.")
    metric_points = serializers.IntegerField()
    metric_bytes = serializers.IntegerField(help_text="24 for each point.")


class LossTotalsSerializer(serializers.Serializer[Any]):
    """What all runs of the list would lose together."""

    runs = serializers.IntegerField()
    log_lines = serializers.IntegerField()
    log_bytes = serializers.IntegerField()
    metric_points = serializers.IntegerField()
    metric_bytes = serializers.IntegerField()


class RetentionSerializer(serializers.Serializer[Any]):
    """What would go now by these numbers of days, null for ever, and when the next would."""

    log_days = serializers.IntegerField(allow_null=True)
    metric_days = serializers.IntegerField(allow_null=True)
    next_at = serializers.DateTimeField(allow_null=True, help_text="When the next log or history would go.")
    totals = LossTotalsSerializer()
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    total = serializers.IntegerField()
    items = LossSerializer(many=True)


def describe_losses(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """Return what each of the runs of `would_go` loses."""
    return [
        {
            "id": run.uid,
            "name": run.name,
            "status": run.status,
            "completed_at": api_time(run.completed_at),
            "log_lines": run.lost_lines,  # type: ignore[attr-defined]
            "log_bytes": run.lost_text_bytes,  # type: ignore[attr-defined]
            "metric_points": run.lost_points,  # type: ignore[attr-defined]
            "metric_bytes": run.lost_points * POINT_BYTES,  # type: ignore[attr-defined]
        }
        for run in runs
    ]


def _days(query: Mapping[str, str], name: str, default: int | None) -> int | None:
    if name not in query:
        return default
    return whole_number(query, name, default=0, low=1, high=MAX_RETENTION_DAYS)


class RetentionView(HubView):
    """A dry run of the retention."""

    query_parameters = PAGE_PARAMETERS | {"log_days", "metric_days"}

    @extend_schema(
        operation_id="projects_retention",
        parameters=[
            OpenApiParameter("log_days", int, description="In place of the project's own: 1 to 36500."),
            OpenApiParameter("metric_days", int, description="In place of the project's own: 1 to 36500."),
            *PAGING,
        ],
        responses={200: RetentionSerializer, **errors(400, 401, 404)},
    )
    def get(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        """List the runs whose log or metric history would go now, oldest end first. Nothing is changed."""
        query = request.query_params
        wanted = read_page_request(query)
        project = self.get_project()
        own = RetentionRule.of(project)
        rule = RetentionRule(_days(query, "log_days", own.log_days), _days(query, "metric_days", own.metric_days))
        now = timezone.now()
        rows = would_go(project=project, rule=rule, now=now)
        return Response(
            {
                "log_days": rule.log_days,
                "metric_days": rule.metric_days,
                "next_at": api_time(next_removal(project=project, rule=rule, now=now)),
                "totals": add_up(rows),
                **page_of(rows, wanted, describe_losses),
            }
        )
