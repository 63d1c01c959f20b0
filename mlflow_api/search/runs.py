"""runs/search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import F, Q
from django.http.response import HttpResponseBase

from mlflow_api.callers import Caller
from mlflow_api.endpoint import endpoint
from mlflow_api.experiments import DEFAULT_ID, DEFAULT_NAME, find_by_name
from mlflow_api.fields import Fields
from mlflow_api.objects import show_runs
from mlflow_api.search.asked import ViewType, read_experiments, read_size, read_view
from mlflow_api.search.conditions import of_runs
from mlflow_api.search.ordering import read_ordering
from mlflow_api.search.pages import RunSearch
from mlflow_api.search.reading import read_filter
from mlflow_api.search.tokens import read_token, write_token
from mlflow_api.search.vocabulary import RUNS
from mlflow_api.streaming import stream_list
from projects.models import Project, ProjectStatus
from runs.models import Run, TelemetryCounter
from runs.querysets import RunQuerySet
from runs.telemetry.newest import catch_up

DEFAULT_RESULTS = 1000
_SHOWN_AT_ONCE = 200  # runs: one with many metrics and parameters takes 90 kB while it is written
_REFRESHED = 500  # runs, of all that lag; the scheduler refreshes the others within about a second


@endpoint("POST", "mlflow/runs/search")
def search(caller: Caller, fields: Fields) -> dict[str, Any] | HttpResponseBase:
    """Return a page of the runs of some experiments that fulfil a filter; a long one is streamed.

    Experiments that are not known, or that the caller does not see, have no runs.
    """
    uids = read_experiments(fields)
    conditions = [of_runs(clause) for clause in read_filter(fields.text("filter"), RUNS)]
    ordering = read_ordering("runs", fields.texts("order_by"))
    view, size = read_view(fields, "run_view_type"), read_size(fields, DEFAULT_RESULTS)
    token = fields.text("page_token")
    after = read_token(ordering, token) if token else None
    projects = _projects(caller, uids)
    if not projects:
        return {}
    _refresh(projects)
    keys, last = RunSearch(_visible(caller, projects, view), conditions, ordering).page(after, size)
    others = {"next_page_token": write_token(ordering, last)} if last else {}
    if len(keys) > _SHOWN_AT_ONCE:
        return stream_list("runs", _show(keys), others)
    answer: dict[str, Any] = {"runs": next(_show(keys))} if keys else {}
    return answer | others


def _projects(caller: Caller, uids: Sequence[str]) -> list[Project]:
    """Return the projects that some ids name and that the caller sees; "0" is the default one, if there is any."""
    found = list(caller.projects().filter(uid__in=set(uids)).only("pk", "status").order_by())
    default = find_by_name(caller, DEFAULT_NAME) if DEFAULT_ID in uids else None
    return [*found, default] if default is not None and default not in found else found


def _visible(caller: Caller, projects: Sequence[Project], view: ViewType) -> RunQuerySet:
    """Return the runs of some projects that a view has. One query, which tells whether there are deleted ones."""
    archived = [project.pk for project in projects if project.status == ProjectStatus.ARCHIVED]
    active = [project.pk for project in projects if project.status != ProjectStatus.ARCHIVED]
    rows = Run.objects.listed("" if view == ViewType.ACTIVE_ONLY else "all")
    if view == ViewType.ACTIVE_ONLY:
        rows = rows.filter(project__in=active)
    elif view == ViewType.DELETED_ONLY:
        rows = rows.filter(Q(project__in=archived) | Q(project__in=active, archived_at__isnull=False))
    else:
        rows = rows.filter(project__in=[*active, *archived])
    return rows.filter(pk__in=caller.runs().values("pk")) if caller.job else rows


def _refresh(projects: Sequence[Project]) -> None:
    """Bring newest values that lag behind what was acknowledged up to date: clients read what they just wrote."""
    # Along the index of what lags, and not by way of all runs of the projects.
    lagging = TelemetryCounter.objects.filter(metric_points__gt=F("newest_points")).order_by("newest_at")
    if keys := list(lagging.values_list("run_id", flat=True)[:_REFRESHED]):
        asked = Run.objects.filter(pk__in=keys, project__in=projects, metrics_removed_at=None)
        if own := list(asked.order_by().values_list("pk", flat=True)):
            catch_up(run_ids=own)


def _show(keys: Sequence[int]) -> Iterator[list[dict[str, Any]]]:
    """Yield the runs, some at a time."""
    for start in range(0, len(keys), _SHOWN_AT_ONCE):
        some = keys[start : start + _SHOWN_AT_ONCE]
        rows = Run.objects.not_deleted().select_related("project", "tracking").without_wide_columns().in_bulk(some)
        yield show_runs([rows[key] for key in some if key in rows])  # else it was deleted a moment ago
