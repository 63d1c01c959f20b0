"""Lists of runs in the API: what a request asks for, and the answer made from plain rows.

A serializer object for each run, and a model object for each of its metrics, took most of a page's time.
The shape is declared by RunSummarySerializer; a test holds that both say the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from runs.attempts import is_unreachable
from runs.filters import RunFilter
from runs.lifecycle import Status
from runs.listing import RunList
from runs.models import Attempt, Run, RunMetric
from runs.ordering import read_cursor, write_cursor
from runs.waiting import engine_reason
from trainhub.api.filtering import checked_filter
from trainhub.api.paging import read_cursor_size, read_page_request
from trainhub.api.renderers import api_time

# Field of the answer → column; the times and what other tables hold are added by `_described`.
_COLUMNS = {
    "id": "uid",
    "project_id": "project__uid",
    "name": "name",
    "status": "status",
    "reason": "reason",
    "waiting_reason": "waiting_reason",
    "simulated": "is_simulated",
    "progress": "progress",
    "recipe": "recipe",
    "executor": "executor",
    "priority": "priority",
    "created_by": "created_by__username",
    "created_at": "created_at",
    "started_at": "started_at",
    "updated_at": "updated_at",
    "completed_at": "completed_at",
    "archived_at": "archived_at",
}
_TIMES = ("created_at", "started_at", "updated_at", "completed_at", "archived_at")


def answer_list(request: Request, projects: tuple[int, ...] | None) -> Response:
    """Answer with the runs of some projects (None: of all) that the query string asks for.

    With `cursor`, empty for the beginning, runs are not counted. Raises: ValidationError, InvalidInput.
    """
    query = request.query_params
    asked = checked_filter(RunFilter, query, Run.objects.all())
    values = asked.form.cleaned_data
    runs = RunList(asked.qs, projects, values["where"], values["order"])
    if "cursor" in query:
        return Response(_cursor_page(runs, query["cursor"], read_cursor_size(query)))
    wanted = read_page_request(query)
    return Response(
        {
            "page": wanted.number,
            "page_size": wanted.size,
            "total": runs.count(),
            "items": describe_runs(runs.page(start=wanted.start, size=wanted.size)),
        }
    )


def _cursor_page(runs: RunList, cursor: str, size: int) -> dict[str, Any]:
    position = read_cursor(runs.order, cursor) if cursor else None
    keys, last = runs.after(position, size=size)
    return {"page_size": size, "next": write_cursor(runs.order, last) if last else None, "items": describe_runs(keys)}


def describe_runs(keys: Sequence[int]) -> list[dict[str, Any]]:
    """Return the runs with these keys as RunSummarySerializer shows them, in the same order. Three queries."""
    if not keys:
        return []
    rows = {
        key: values
        for key, *values in Run.objects.not_deleted().filter(pk__in=keys).values_list("pk", *_COLUMNS.values())
    }
    metrics, live = _newest_metrics(keys), _live_attempts(keys)
    return [
        _described(rows[key], live.get(key), metrics=metrics[key])
        for key in keys
        if key in rows  # else it was deleted a moment ago
    ]


def _described(row: Sequence[Any], attempt: Attempt | None, **added: Any) -> dict[str, Any]:
    run = dict(zip(_COLUMNS, row, strict=True))
    for name in _TIMES:
        run[name] = api_time(run[name])
    if run["status"] == Status.STARTING:
        run["waiting_reason"] = engine_reason(attempt)
    return {**run, "is_unreachable": is_unreachable(attempt), **added}


def _newest_metrics(keys: Sequence[int]) -> dict[int, dict[str, float | None]]:
    """Return the newest values by run and metric, without the system's."""
    found: dict[int, dict[str, float | None]] = defaultdict(dict)
    for run_id, key, value in RunMetric.objects.filter(run__in=keys).values_list("run_id", "key", "value"):
        if not key.startswith("system/"):
            found[run_id][key] = value
    return found


def _live_attempts(keys: Sequence[int]) -> dict[int, Attempt]:
    """Return the live attempts by run, with what a list tells of them."""
    live = Attempt.objects.filter(run__in=keys, ended_at__isnull=True).order_by()  # their usual order is a join
    columns = ("run_id", "ended_at", "heartbeat_at", "claimed_at", "engine_reason")
    return {attempt.run_id: attempt for attempt in live.only(*columns)}
