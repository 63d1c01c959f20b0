"""API of a run's metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api import serializers as shapes
from runs.api.times import read_time
from runs.api.views import RunScopedView
from runs.telemetry.removed import metrics_removed_at
from runs.telemetry.series import Series, list_keys, read_series
from trainhub.api.paging import whole_number
from trainhub.api.renderers import api_time
from trainhub.api.schema import errors
from trainhub.errors import InvalidInput

MIN_POINTS = 5  # first, last, minimum, maximum and a gap are always kept
MAX_POINTS = 10_000  # of one metric in an answer
MAX_KEYS = 100
INT64_LIMIT = 2**63


class MetricsView(RunScopedView):
    """Metric series."""

    query_parameters = frozenset({"key", "points", "first_step", "last_step", "start_time", "end_time", "hidden"})

    @extend_schema(
        operation_id="runs_metrics",
        parameters=[
            OpenApiParameter("key", str, many=True, description="Metrics wanted; the first 100 when left out."),
            OpenApiParameter("points", int, description="Points of each metric, 5 to 10000.", default=1000),
            OpenApiParameter("first_step", int),
            OpenApiParameter("last_step", int, description="Included."),
            OpenApiParameter("start_time", OpenApiTypes.DATETIME),
            OpenApiParameter("end_time", OpenApiTypes.DATETIME),
            OpenApiParameter("hidden", bool, description="Also the steps that a restart went back over."),
        ],
        responses={200: shapes.SeriesAnswerSerializer, **errors(400, 401, 404)},
    )
    def get(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """Return metric series, thinned to the points asked for; first, last, minimum and maximum are kept."""
        query = request.query_params
        points = whole_number(query, "points", default=1000, low=MIN_POINTS, high=MAX_POINTS)
        window = _read_window(query)
        run = self.find_run()
        known = list_keys(run.pk)
        asked = query.getlist("key") or known[:MAX_KEYS]
        if len(asked) > MAX_KEYS:
            raise InvalidInput({"key": [f"At most {MAX_KEYS} metrics an answer; name the ones wanted."]})
        wanted = [key for key in asked if key in set(known)]
        series = read_series(run_id=run.pk, keys=wanted, limit=points, **window)
        shown = {key: show_series(found) for key, found in series.items()}
        is_empty = not any(found.total for found in series.values())
        removed_at = api_time(metrics_removed_at(run.pk)) if is_empty else None
        return Response({"series": shown, "keys": known, "removed_at": removed_at})


def _read_window(query: Mapping[str, str]) -> dict[str, Any]:
    limits = {"low": -INT64_LIMIT, "high": INT64_LIMIT - 1}
    if query.get("hidden", "false") not in {"true", "false"}:
        raise InvalidInput({"hidden": ["Must be true or false."]})
    start, end = read_time(query, "start_time"), read_time(query, "end_time")
    return {
        "first_step": whole_number(query, "first_step", default=0, **limits) if "first_step" in query else None,
        "last_step": whole_number(query, "last_step", default=0, **limits) if "last_step" in query else None,
        "first_time": start // 1000 if start is not None else None,
        "last_time": -(-end // 1000) - 1 if end is not None else None,
        "hidden": query.get("hidden") == "true",
    }


def show_series(series: Series) -> dict[str, Any]:
    """Return a series as the API shows it: null where JSON has no number, named in `special`."""
    special = {
        str(index): "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        for index, value in enumerate(series.value)
        if not math.isfinite(value)
    }
    return {
        "step": list(series.step),
        "time": list(series.time),
        "value": [value if math.isfinite(value) else None for value in series.value],
        "attempt": list(series.attempt),
        "special": special,
        "total": series.total,
        "thinned": series.thinned,
    }
