"""API of metrics: series of one run, and of several side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from django.http import QueryDict
from django.utils.decorators import method_decorator
from django.views.decorators.gzip import gzip_page
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api import serializers as shapes
from runs.api.times import read_time
from runs.api.views import RunScopedView
from runs.models import Run
from runs.querysets import RunQuerySet
from runs.telemetry.lineage import Story, read_stories
from runs.telemetry.newest import special_name
from runs.telemetry.series import Axis, Metrics, Series, SeriesRequest, read_metrics
from runs.telemetry.window import Window
from trainhub.api.paging import whole_number
from trainhub.api.renderers import api_time
from trainhub.api.schema import errors
from trainhub.api.views import HubView
from trainhub.errors import InvalidInput, NotFound

MIN_POINTS = 5  # first, last, minimum, maximum and a gap are always kept
MAX_POINTS = 10_000  # of one series
MAX_ALL_POINTS = 200_000  # of all series of an answer: about 10 MB and half a second
MAX_KEYS = 100
MAX_RUNS = 50
MAX_STITCHED_RUNS = 10  # each may bring 49 others
MAX_SERIES = 200  # runs × metrics
INT64_LIMIT = 2**63

_AXES: dict[str, Axis] = {"step": "step", "time": "time", "relative": "relative"}
PARAMETERS = [
    OpenApiParameter("points", int, description="Points of each series, 5 to 10000; 200000 in all.", default=1000),
    OpenApiParameter("x", str, enum=list(_AXES), description="What points are ordered by.", default="step"),
    OpenApiParameter("first_step", int, description="Included."),
    OpenApiParameter("last_step", int, description="Included."),
    OpenApiParameter("start_time", OpenApiTypes.DATETIME, description="Included; without zone it is UTC."),
    OpenApiParameter("end_time", OpenApiTypes.DATETIME, description="Not included."),
    OpenApiParameter("start_relative", int, description="ms since the run began to train; included, may be negative."),
    OpenApiParameter("end_relative", int, description="ms since the run began to train; not included."),
    OpenApiParameter("stitched", bool, description="Begin with what the run was resumed from.", default=False),
    OpenApiParameter("hidden", bool, description="Also the steps that a restart or resume went back over."),
]
NAMES = frozenset(parameter.name for parameter in PARAMETERS)


# Columns of numbers shrink to a third; a chart on a slow line is there so much sooner.
_compressed = method_decorator(gzip_page, name="dispatch")


@_compressed
class MetricsView(RunScopedView):
    """Metric series of a run."""

    query_parameters = NAMES | {"key"}

    @extend_schema(
        operation_id="runs_metrics",
        parameters=[
            OpenApiParameter("key", str, many=True, description="Metrics wanted; the first 100 when left out."),
            *PARAMETERS,
        ],
        responses={200: shapes.SeriesAnswerSerializer, **errors(400, 401, 404)},
    )
    def get(self, request: Request, project_id: str, run_id: str) -> Response:
        """Return metric series, thinned to the points asked for; first, last, minimum and maximum are kept."""
        query = request.query_params
        wanted = _read_request(query, keys=query.getlist("key") or None, runs=1)
        visible = Run.objects.visible_to(request.user)
        stories = _read_stories(visible.filter(uid=run_id, project__uid=project_id), query, visible)
        if not stories:
            raise NotFound("There is no such run.")
        (metrics,) = read_metrics(stories, wanted)
        return Response({"x": wanted.axis, **show_metrics(metrics, stitched=_flag(query, "stitched"))})


@_compressed
class ManyMetricsView(HubView):
    """Metric series of several runs."""

    query_parameters = NAMES | {"key", "run"}

    @extend_schema(
        operation_id="metrics",
        parameters=[
            OpenApiParameter("run", str, many=True, required=True, description="Runs, at most 50; stitched 10."),
            OpenApiParameter(
                "key", str, many=True, required=True, description="Metrics, at most 100 and 200 series in all."
            ),
            *PARAMETERS,
        ],
        responses={200: shapes.ManySeriesAnswerSerializer, **errors(400, 401, 404)},
    )
    def get(self, request: Request) -> Response:
        """Return the same metrics of several runs, of any projects, each as for one run."""
        query = request.query_params
        stitched = _flag(query, "stitched")
        uids = _names(query, "run", most=MAX_STITCHED_RUNS if stitched else MAX_RUNS)
        wanted = _read_request(query, keys=_names(query, "key", most=MAX_KEYS), runs=len(uids))
        visible = Run.objects.visible_to(request.user)
        stories = _read_stories(visible.filter(uid__in=filter(_UID.match, uids)), query, visible)
        found = {metrics.story.uid: metrics for metrics in read_metrics(stories, wanted)}
        if len(found) < len(uids):
            raise NotFound("There is no such run.")
        return Response({"x": wanted.axis, "runs": {uid: show_metrics(found[uid], stitched=stitched) for uid in uids}})


_UID = re.compile(r"[A-Za-z0-9_]{1,32}\Z")  # what no uid looks like is no run; a database may not take it


def _read_stories(runs: RunQuerySet, query: QueryDict, visible: RunQuerySet) -> list[Story]:
    ancestors = visible if _flag(query, "stitched") else None
    return read_stories(runs, hidden=_flag(query, "hidden"), ancestors=ancestors)


def _read_request(query: QueryDict, *, keys: list[str] | None, runs: int) -> SeriesRequest:
    points = whole_number(query, "points", default=1000, low=MIN_POINTS, high=MAX_POINTS)
    if keys is not None:
        _check_size(len(set(keys)), runs, points)
    axis = _AXES.get(query.get("x", "step"))
    if axis is None:
        raise InvalidInput({"x": ["Must be step, time or relative."]})
    end = _whole(query, "end_relative")
    return SeriesRequest(
        keys=keys,
        most_keys=min(MAX_KEYS, MAX_ALL_POINTS // points),
        limit=points,
        axis=axis,
        window=_read_window(query),
        first_relative=_whole(query, "start_relative"),
        last_relative=None if end is None else end - 1,
    )


def _check_size(keys: int, runs: int, points: int) -> None:
    if keys > MAX_KEYS or keys * runs > MAX_SERIES:
        raise InvalidInput({"key": [f"At most {MAX_KEYS} metrics and {MAX_SERIES} series an answer."]})
    if keys * runs * points > MAX_ALL_POINTS:
        raise InvalidInput({"points": [f"At most {MAX_ALL_POINTS} points an answer: ask for fewer of each series."]})


def _names(query: QueryDict, name: Literal["run", "key"], *, most: int) -> list[str]:
    names = list(dict.fromkeys(query.getlist(name)))
    if not 0 < len(names) <= most:
        raise InvalidInput({name: [f"Give 1 to {most} of them."]})
    return names


def _flag(query: QueryDict, name: Literal["stitched", "hidden"]) -> bool:
    text = query.get(name, "false")
    if text not in {"true", "false"}:
        raise InvalidInput({name: ["Must be true or false."]})
    return text == "true"


def _whole(query: QueryDict, name: str) -> int | None:
    if name not in query:
        return None
    return whole_number(query, name, default=0, low=-INT64_LIMIT, high=INT64_LIMIT - 1)


def _read_window(query: QueryDict) -> Window:
    start, end = read_time(query, "start_time"), read_time(query, "end_time")
    return Window.between(
        _whole(query, "first_step"),
        _whole(query, "last_step"),
        start // 1000 if start is not None else None,
        -(-end // 1000) - 1 if end is not None else None,
    )


def show_metrics(metrics: Metrics, *, stitched: bool) -> dict[str, Any]:
    """Return the series of a run as the API shows them; stitched ones say which run each point is of."""
    series = {key: show_series(found, stitched=stitched) for key, found in metrics.series.items()}
    chain = {"chain": [part.uid for part in metrics.story.parts]} if stitched else {}
    return {**chain, "series": series, "keys": metrics.keys, "removed_at": api_time(metrics.removed_at)}


def show_series(series: Series, *, stitched: bool = False) -> dict[str, Any]:
    """Return a series as the API shows it: null where JSON has no number, named in `special`."""
    shown: dict[str, Any] = {"step": series.step, "time": series.time}
    if series.relative is not None:
        shown["relative"] = series.relative
    shown["value"], shown["special"] = _show_values(series.value)
    if stitched:
        shown["run"] = series.run
    return {**shown, "attempt": series.attempt, "total": series.total, "thinned": series.thinned}


def _show_values(values: Sequence[float]) -> tuple[Sequence[float | None], dict[str, str]]:
    if math.isfinite(sum(values)):
        return values, {}
    special = {str(index): special_name(value) for index, value in enumerate(values) if not math.isfinite(value)}
    return [value if math.isfinite(value) else None for value in values], special
