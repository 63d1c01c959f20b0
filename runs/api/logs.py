"""API of a run's log: pages, search, following."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runner.protocol import LEVELS, STREAMS
from runs.api import serializers as shapes
from runs.api.times import read_time
from runs.api.views import RunScopedView
from runs.models import Run
from runs.telemetry.log_blocks import LogLine
from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_pages import MAX_SCANNED_LINES, TooManyLinesError, follow, read_page
from runs.telemetry.log_ranges import count_lines
from runs.telemetry.log_search import MAX_PATTERN_CHARACTERS, PatternError, Regex, Words, search_lines
from runs.telemetry.removed import log_removed_at
from trainhub.api.paging import PAGE_PARAMETERS, read_page_request, whole_number
from trainhub.api.renderers import api_time
from trainhub.api.schema import PAGING, errors
from trainhub.api.waiting import wait_until, wanted_seconds
from trainhub.errors import InvalidInput

MAX_FOLLOWED_LINES = 1000
MAX_FOUND_LINES = 500  # matches of one search request
SEARCH_SECONDS = 0.5  # of looking in one search request

KIND_FILTERS = [
    OpenApiParameter("start_time", OpenApiTypes.DATETIME, description="Lines at or after; without zone it is UTC."),
    OpenApiParameter("end_time", OpenApiTypes.DATETIME, description="Lines before."),
    OpenApiParameter("level", str, enum=LEVELS, many=True, description="Lines of these levels."),
    OpenApiParameter("stream", str, enum=STREAMS, many=True, description="Lines of these streams."),
    OpenApiParameter("attempt", int, description="Lines of this attempt."),
]
CONTAINS = OpenApiParameter("contains", str, description="Lines that contain the text; case does not matter.")
REGEX = OpenApiParameter(
    "regex", str, description="Lines in which this regular expression (RE2 syntax) finds something."
)
LOG_FILTERS = [*KIND_FILTERS, CONTAINS]
LOG_FILTER_NAMES = frozenset(parameter.name for parameter in LOG_FILTERS)


def read_line_filter(request: Request) -> LineFilter:
    """Return which times and kinds of lines a request asks for. Raises: InvalidInput."""
    query = request.query_params
    start, end = read_time(query, "start_time"), read_time(query, "end_time")
    if start is not None and end is not None and end < start:
        raise InvalidInput({"end_time": ["Must not be before start_time."]})
    levels = query.getlist("level")
    if not set(levels) <= set(LEVELS):
        raise InvalidInput({"level": [f"Must be of {', '.join(LEVELS)}."]})
    streams = query.getlist("stream")
    if not set(streams) <= set(STREAMS):
        raise InvalidInput({"stream": [f"Must be of {', '.join(STREAMS)}."]})
    attempt = whole_number(query, "attempt", default=0, low=1, high=2**31 - 1)
    return LineFilter.of(
        start_us=start, end_us=end, levels=levels or None, streams=streams or None, attempt=attempt or None
    )


def read_words(query: Mapping[str, str]) -> Words | None:
    """Return what `contains` asks for, None without it. Raises: InvalidInput."""
    text = query.get("contains")
    return None if text is None else Words.of(_checked_pattern("contains", text))


def read_matcher(query: Mapping[str, str]) -> Words | Regex:
    """Return what a search looks for: `contains` or `regex`, one of them. Raises: InvalidInput."""
    words, pattern = read_words(query), query.get("regex")
    if (words is None) == (pattern is None):
        raise InvalidInput({"contains": ["Give either contains or regex."]})
    if words is not None or pattern is None:
        return words or Words.of("")
    try:
        return Regex(_checked_pattern("regex", pattern), ignore_case=_flag(query, "ignore_case"))
    except PatternError as error:
        raise InvalidInput({"regex": [f"This is no regular expression of RE2: {error}."]}) from None


def _checked_pattern(name: str, text: str) -> str:
    if not 0 < len(text) <= MAX_PATTERN_CHARACTERS:
        raise InvalidInput({name: [f"Must have 1 to {MAX_PATTERN_CHARACTERS} characters."]})
    return text


def _flag(query: Mapping[str, str], name: str) -> bool:
    if query.get(name, "false") not in {"true", "false"}:
        raise InvalidInput({name: ["Must be true or false."]})
    return query.get(name) == "true"


@functools.lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def show_time(time_us: int) -> str:
    """Return µs since 1970 UTC as ISO 8601 with microseconds and Z. A log has many lines a second."""
    seconds, micros = divmod(time_us, 1_000_000)
    return f"{_second(seconds)}.{micros:06d}Z"


def show_line(line: LogLine) -> dict[str, Any]:
    """Return a line as the API shows it."""
    return {
        "line": line.number,
        "timestamp": show_time(line.time_us),
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
        """Return a page of a run's log; `total` counts the lines that pass the filters.

        `contains` looks at the text of every line, and is refused where that are more than a million:
        `/logs/search` gets through any log, step by step.
        """
        page = read_page_request(request.query_params)
        wanted, words = read_line_filter(request), read_words(request.query_params)
        run = self.find_run()
        try:
            found = read_page(run_id=run.pk, page=page.number, page_size=page.size, wanted=wanted, matcher=words)
        except TooManyLinesError:
            limit = f"{MAX_SCANNED_LINES:,}"
            raise InvalidInput(
                {"contains": [f"There are more than {limit} lines to look at: narrow them, or use /logs/search."]}
            ) from None
        items = [show_line(line) for line in found.items]
        removed_at = None if found.total else api_time(log_removed_at(run.pk))
        answer = {"page": page.number, "page_size": page.size, "total": found.total, "items": items}
        return Response({**answer, "removed_at": removed_at})


class LogSearchView(RunScopedView):
    """Looking for text in the whole log."""

    query_parameters = LOG_FILTER_NAMES | {"regex", "ignore_case", "after", "limit"}

    @extend_schema(
        operation_id="runs_logs_search",
        parameters=[
            CONTAINS,
            REGEX,
            OpenApiParameter("ignore_case", bool, description="For `regex`; `contains` always does.", default=False),
            OpenApiParameter("after", int, description="Cursor: the `next` of the last answer; 0 at first.", default=0),
            OpenApiParameter("limit", int, description="Matches wanted, 1 to 500.", default=100),
            *KIND_FILTERS,
        ],
        responses={200: shapes.LogSearchSerializer, **errors(400, 401, 404)},
    )
    def get(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """Return the next matches, and how far the search has come.

        One request looks for about half a second. While `next` is not null there may be more: ask again with it as
        `after`, also when there were no matches.
        """
        query = request.query_params
        after = whole_number(query, "after", default=0, low=0, high=2**53)
        limit = whole_number(query, "limit", default=100, low=1, high=MAX_FOUND_LINES)
        wanted, matcher = read_line_filter(request), read_matcher(query)
        run = self.find_run()
        found = search_lines(
            run_id=run.pk, wanted=wanted, matcher=matcher, after=after, limit=limit, seconds=SEARCH_SECONDS
        )
        return Response(
            {
                "items": [show_line(line) for line in found.items],
                "next": found.next,
                "searched": found.searched,
                "total": found.total,
                "removed_at": None if found.total else api_time(log_removed_at(run.pk)),
            }
        )


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
