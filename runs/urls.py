"""Paths of the pages of runs, below /ui/."""

from django.urls import path

from runs import views

RUN = "runs/<uid:run_id>"

urlpatterns = [
    path("projects/<uid:project_id>/launch", views.RunLaunchView.as_view(), name="run-launch"),
    path("runs", views.RunListView.as_view(), name="runs"),
    path(RUN, views.RunDetailView.as_view(), name="run"),
    path(f"{RUN}/status", views.RunStatusView.as_view(), name="run-status"),
    path(f"{RUN}/artifacts/newest", views.RunArtifactsView.as_view(), name="run-artifacts"),
    path(f"{RUN}/log", views.RunLogView.as_view(), name="run-log"),
    path(f"{RUN}/log/tail", views.RunLogTailView.as_view(), name="run-log-tail"),
    path(f"{RUN}/timeline", views.RunTimelineView.as_view(), name="run-timeline"),
    path(f"{RUN}/cancel", views.RunCancelView.as_view(), name="run-cancel"),
    path(f"{RUN}/delete", views.RunDeleteView.as_view(), name="run-delete"),
]
