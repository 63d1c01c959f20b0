"""The history of metrics: every point of one, and some points of several runs for a chart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from django.http.response import HttpResponseBase

from mlflow_api.callers import Caller
from mlflow_api.endpoint import endpoint
from mlflow_api.errors import invalid
from mlflow_api.fields import INT64, Fields
from mlflow_api.objects import json_number
from mlflow_api.streaming import stream_list
from runs.models import Run
from runs.telemetry.history import PAGE_POINTS, HistoryPoint, read_history, read_pages
from runs.telemetry.lineage import read_stories
from runs.telemetry.series import SeriesRequest, read_metrics
from runs.telemetry.thinning import MIN_LIMIT
from runs.telemetry.window import Window
from runs.tracking.external import MAX_TIME_MS
from trainhub.api.paging import decode_cursor, encode_cursor
from trainhub.errors import InvalidInput

MAX_BULK_RUNS, MAX_BULK_POINTS = 100, 2500


@endpoint("GET", "mlflow/metrics/get-history")
def get_history(caller: Caller, fields: Fields) -> dict[str, Any] | HttpResponseBase:
    """Return every point of a metric of a run, ordered by time, step and value; without `max_results` all of them.

    A run that the caller does not see, and a metric that it does not have, have no points.
    """
    uid, key = fields.needed("run_id", "run_uuid"), fields.needed("metric_key")
    limit = fields.whole("max_results")
    if limit is not None and limit < 1:
        raise invalid("Invalid value for parameter 'max_results': it must be 1 or more.")
    token = fields.text("page_token")
    after = _read_token(token) if token else None
    run_id = caller.runs().filter(uid=uid).values_list("pk", flat=True).first()
    if run_id is None:
        return {}
    if limit is None:
        return _whole(key, read_pages(run_id=run_id, key=key, after=after))
    points, has_more = read_history(run_id=run_id, key=key, after=after, limit=min(limit, PAGE_POINTS))
    answer: dict[str, Any] = {"metrics": _metrics(key, points)} if points else {}
    if has_more:
        answer["next_page_token"] = encode_cursor(
            [points[-1].time, points[-1].step, json_number(points[-1].value)],
        )
    return answer


def _whole(key: str, pages: Iterator[list[HistoryPoint]]) -> dict[str, Any] | HttpResponseBase:
    """Answer all points; more than a page of them are streamed."""
    first = next(pages, [])
    if len(first) < PAGE_POINTS:
        return {"metrics": _metrics(key, first)} if first else {}
    return stream_list("metrics", (_metrics(key, page) for page in chain([first], pages)))


def _metrics(key: str, points: Sequence[HistoryPoint]) -> list[dict[str, Any]]:
    return [_metric(key, point.value, point.time, point.step) for point in points]


def _metric(key: str, value: float, time: int, step: int) -> dict[str, Any]:
    return {"key": key, "value": json_number(value), "timestamp": time, "step": step}


def _read_token(text: str) -> HistoryPoint:
    """Return the point that a token stands for. Raises: MlflowError (400)."""
    try:
        return decode_cursor(text, _point)
    except InvalidInput:
        raise invalid("Invalid page token, could not be read.") from None


def _point(content: Any) -> HistoryPoint:
    """Check what a token holds: anybody can make one. Raises: ValueError."""
    if not isinstance(content, list) or len(content) != 3:
        raise ValueError("not a point")
    time, step, value = content
    if type(time) is not int or not 0 <= time <= MAX_TIME_MS or type(step) is not int or step not in INT64:
        raise ValueError("not a time and a step")
    if value in ("NaN", "Infinity", "-Infinity"):
        value = float(value)
    if type(value) not in (int, float):
        raise ValueError("not a value")
    is_number = not math.isnan(value)
    return HistoryPoint(time, step, is_number, float(value) if is_number else 0.0)


@endpoint("GET", "mlflow/metrics/get-history-bulk-interval")
def get_bulk_interval(caller: Caller, fields: Fields) -> dict[str, Any]:
    """Return points of a metric of several runs, run by run in order of step.

    Of each run at most `max_results` (5 when it is less): always its first and last point, its least and its greatest.
    Runs that the caller does not see have no points.
    """
    uids, key = list(dict.fromkeys(fields.texts("run_ids"))), fields.needed("metric_key")
    if not 0 < len(uids) <= MAX_BULK_RUNS:
        raise invalid(f"Invalid value for parameter 'run_ids': it must name 1 to {MAX_BULK_RUNS} runs.")
    limit = fields.whole("max_results", MAX_BULK_POINTS) or 0
    if not 0 < limit <= MAX_BULK_POINTS:
        raise invalid(f"Invalid value for parameter 'max_results': it must be from 1 to {MAX_BULK_POINTS}.")
    request = SeriesRequest(keys=[key], limit=max(limit, MIN_LIMIT), window=_read_window(fields))
    visible = caller.runs().filter(uid__in=uids).values("pk")
    stories = read_stories(Run.objects.filter(pk__in=visible), hidden=True)
    found: dict[str, list[dict[str, Any]]] = {}
    for metrics in read_metrics(stories, request):
        for series in metrics.series.values():
            points = sorted(set(zip(series.step, series.time, map(json_number, series.value), strict=True)), key=_place)
            found[metrics.story.uid] = [
                {**_metric(key, 0.0, time, step), "value": value, "run_id": metrics.story.uid}
                for step, time, value in points
            ]
    together = [point for uid in uids for point in found.get(uid, [])]
    return {"metrics": together} if together else {}


def _place(point: tuple[int, int, float | str]) -> tuple[int, int]:
    return point[:2]


def _read_window(fields: Fields) -> Window:
    """Return the steps that are asked for, both ends or neither. Raises: MlflowError (400)."""
    first, last = fields.whole("start_step"), fields.whole("end_step")
    if (first is None) != (last is None):
        raise invalid("If either start step or end step are specified, both must be specified.")
    if first is not None and last is not None and last < first:
        raise invalid("Invalid value for parameter 'end_step': it must not be less than 'start_step'.")
    return Window.between(first, last, None, None)
