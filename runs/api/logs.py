"""API of a run's log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runner.protocol import LEVELS, STREAMS
from runs.api import serializers as shapes
from runs.api.times import read_time
from runs.api.views import RunScopedView
from runs.models import Run
from runs.telemetry.log_pages import LogLine, count_lines, follow, iterate_lines, read_page
from runs.telemetry.removed import log_removed_at, unbroken
from trainhub.api.paging import PAGE_PARAMETERS, read_page_request, whole_number
from trainhub.api.renderers import FileNegotiation, api_time
from trainhub.api.schema import PAGING, errors
from trainhub.api.waiting import wait_until, wanted_seconds
from trainhub.errors import InvalidInput, Removed

MAX_FOLLOWED_LINES = 1000

LOG_FILTERS = [
    OpenApiParameter("start_time", OpenApiTypes.DATETIME, description="Lines at or after; without zone it is UTC."),
    OpenApiParameter("end_time", OpenApiTypes.DATETIME, description="Lines before."),
    OpenApiParameter("level", str, enum=LEVELS, many=True, description="Lines of these levels."),
    OpenApiParameter("stream", str, enum=STREAMS, description="Lines of this stream."),
    OpenApiParameter("attempt", int, description="Lines of this attempt."),
    OpenApiParameter("contains", str, description="Lines that contain the text; case does not matter."),
]
LOG_FILTER_NAMES = frozenset(parameter.name for parameter in LOG_FILTERS)


def read_log_filters(request: Request) -> dict[str, Any]:
    """Return the filters of a log request as the telemetry store takes them. Raises: InvalidInput."""
    query = request.query_params
    start, end = read_time(query, "start_time"), read_time(query, "end_time")
    if start is not None and end is not None and end < start:
        raise InvalidInput({"end_time": ["Must not be before start_time."]})
    levels = query.getlist("level")
    if not set(levels) <= set(LEVELS):
        raise InvalidInput({"level": [f"Must be of {', '.join(LEVELS)}."]})
    stream = query.get("stream")
    if stream is not None and stream not in STREAMS:
        raise InvalidInput({"stream": [f"Must be one of {', '.join(STREAMS)}."]})
    contains = query.get("contains")
    if contains is not None and not 0 < len(contains) <= 200:
        raise InvalidInput({"contains": ["Must have 1 to 200 characters."]})
    attempt = whole_number(query, "attempt", default=0, low=1, high=2**31 - 1)
    return {
        "start_us": start,
        "end_us": end,
        "levels": levels or None,
        "stream": stream,
        "attempt": attempt or None,
        "contains": contains,
    }


def show_line(line: LogLine) -> dict[str, Any]:
    """Return a line as the API shows it."""
    moment = datetime.fromtimestamp(line.time_us // 1_000_000, UTC).replace(microsecond=line.time_us % 1_000_000)
    return {
        "line": line.number,
        "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "level": line.level,
        "stream": line.stream,
        "attempt": line.attempt,
        "message": line.message,
    }


class LogView(RunScopedView):
    """Pages of the log."""

    query_parameters = LOG_FILTER_NAMES | PAGE_PARAMETERS

    @extend_schema(
        operation_id="runs_logs",
        parameters=[*PAGING, *LOG_FILTERS],
        responses={200: shapes.LogPageSerializer, **errors(400, 401, 404)},
    )
    def get(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """Return a page of a run's log; `total` counts the lines that pass the filters."""
        wanted = read_page_request(request.query_params)
        filters = read_log_filters(request)
        run = self.find_run()
        page = read_page(run_id=run.pk, page=wanted.number, page_size=wanted.size, **filters)
        items = [show_line(line) for line in page.items]
        removed_at = None if page.total else api_time(log_removed_at(run.pk))
        answer = {"page": wanted.number, "page_size": wanted.size, "total": page.total, "items": items}
        return Response({**answer, "removed_at": removed_at})


class LogFollowView(RunScopedView):
    """The log as it grows."""

    query_parameters = frozenset({"after", "limit"})

    @extend_schema(
        operation_id="runs_logs_follow",
        parameters=[
            OpenApiParameter("after", int, description="Cursor: the `next` of the last answer; 0 at first.", default=0),
            OpenApiParameter("limit", int, description="1 to 1000.", default=500),
            OpenApiParameter("Prefer", str, OpenApiParameter.HEADER, description="`wait=N`: wait for a new line."),
        ],
        responses={200: shapes.LogFollowSerializer, **errors(400, 401, 404)},
    )
    def get(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """Return the lines from a cursor on; with `Prefer: wait=N` the answer waits for the first new one."""
        after = whole_number(request.query_params, "after", default=0, low=0, high=2**53)
        limit = whole_number(request.query_params, "limit", default=500, low=1, high=MAX_FOLLOWED_LINES)
        run = self.find_run()

        def has_news() -> bool:
            return count_lines(run.pk) > after or Run.objects.filter(pk=run.pk, completed_at__isnull=False).exists()

        wait_until(has_news, wanted_seconds(request, 0))
        is_over = Run.objects.filter(pk=run.pk, completed_at__isnull=False).exists()
        lines = follow(run_id=run.pk, after=after, limit=limit)
        cursor = lines[-1].number + 1 if lines else after
        return Response(
            {
                "items": [show_line(line) for line in lines],
                "next": cursor,
                "ended": is_over and cursor >= count_lines(run.pk),
                "removed_at": None if lines else api_time(log_removed_at(run.pk)),
            }
        )


class LogDownloadView(RunScopedView):
    """The log as a file."""

    content_negotiation_class = FileNegotiation
    query_parameters = LOG_FILTER_NAMES | {"as"}

    @extend_schema(
        operation_id="runs_logs_download",
        parameters=[OpenApiParameter("as", str, enum=["text", "ndjson"], default="text"), *LOG_FILTERS],
        responses={
            (200, "text/plain"): OpenApiTypes.STR,
            (200, "application/x-ndjson"): OpenApiTypes.STR,
            **errors(400, 401, 404, 410),
        },
    )
    def get(self, request: Request, project_id: str, run_id: str) -> StreamingHttpResponse:  # noqa: ARG002
        """Download a run's log as text or as one JSON object a line; 410 when it was removed.

        A log that is removed meanwhile breaks the download off, so that nobody takes a part of it for the whole.
        """
        kind = request.query_params.get("as", "text")
        if kind not in {"text", "ndjson"}:
            raise InvalidInput({"as": ["Must be text or ndjson."]})
        run = self.find_run()
        lines = unbroken(run.pk, iterate_lines(run_id=run.pk, **read_log_filters(request)))
        removed_at = log_removed_at(run.pk)
        if removed_at is not None:
            raise Removed("The log of this run was removed.", removed_at=api_time(removed_at))
        is_text = kind == "text"
        response = StreamingHttpResponse(
            _as_text(lines) if is_text else _as_ndjson(lines),
            content_type="text/plain; charset=utf-8" if is_text else "application/x-ndjson",
        )
        response["Content-Disposition"] = f'attachment; filename="{run.uid}.{"log" if is_text else "ndjson"}"'
        response["X-Content-Type-Options"] = "nosniff"
        return response


def _as_text(lines: Iterator[LogLine]) -> Iterator[bytes]:
    for line in lines:
        yield f"{show_line(line)['timestamp']} {line.message}\n".encode()


def _as_ndjson(lines: Iterator[LogLine]) -> Iterator[bytes]:
    for line in lines:
        yield orjson.dumps(show_line(line)) + b"\n"
