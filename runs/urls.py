"""Paths of the pages of runs, below /ui/."""

from django.urls import path

from runs import bulk
from runs.views import charts, columns, compare, detail, ending, executors, launch, lists, log, project, selection

PROJECT = "projects/<uid:project_id>"
RUN = "runs/<uid:run_id>"

urlpatterns = [
    path(PROJECT, project.ProjectDetailView.as_view(), name="project"),
    path(f"{PROJECT}/runs", lists.ProjectRunsView.as_view(), name="project-runs"),
    path(f"{PROJECT}/runs/columns", columns.ProjectColumnsView.as_view(), name="project-columns"),
    path(f"{PROJECT}/launch", launch.RunLaunchView.as_view(), name="run-launch"),
    path("runs", lists.RunListView.as_view(), name="runs"),
    path("executors", executors.ExecutorListView.as_view(), name="executors"),
    path("compare", compare.CompareView.as_view(), name="compare"),
    path("compare.csv", compare.CompareFileView.as_view(kind="csv"), name="compare-csv"),
    path("compare.json", compare.CompareFileView.as_view(kind="json"), name="compare-json"),
    path("compare.svg", compare.CompareDrawingView.as_view(), name="compare-svg"),
    path("runs/columns", columns.ColumnsView.as_view(), name="run-columns"),
    path("runs/cancel", selection.SelectionView.as_view(action=bulk.CANCEL), name="runs-cancel"),
    path("runs/archive", selection.SelectionView.as_view(action=bulk.ARCHIVE), name="runs-archive"),
    path("runs/restore", selection.SelectionView.as_view(action=bulk.RESTORE), name="runs-restore"),
    path(RUN, detail.RunDetailView.as_view(), name="run"),
    path(f"{RUN}/status", detail.RunStatusView.as_view(), name="run-status"),
    path(f"{RUN}/charts", charts.RunChartsView.as_view(), name="run-charts"),
    path(f"{RUN}/artifacts/newest", detail.RunArtifactsView.as_view(), name="run-artifacts"),
    path(f"{RUN}/log", log.RunLogView.as_view(), name="run-log"),
    path(f"{RUN}/log/rows", log.RunLogRowsView.as_view(), name="run-log-rows"),
    path(f"{RUN}/log/tail", log.RunLogTailView.as_view(), name="run-log-tail"),
    path(f"{RUN}/timeline", detail.RunTimelineView.as_view(), name="run-timeline"),
    path(f"{RUN}/cancel", ending.RunCancelView.as_view(), name="run-cancel"),
    path(f"{RUN}/delete", ending.RunDeleteView.as_view(), name="run-delete"),
]
