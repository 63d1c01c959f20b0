"""Paths of the runs API."""

from django.urls import path

from runs.api import installation, log_download, logs, metrics, retention, views

RUN = "projects/<uid:project_id>/runs/<uid:run_id>"

urlpatterns = [
    path("runs", views.AllRunsView.as_view(), name="api-all-runs"),
    path("projects/<uid:project_id>/runs", views.RunListView.as_view(), name="api-runs"),
    path(RUN, views.RunView.as_view(), name="api-run"),
    path(f"{RUN}/cancel", views.RunCancelView.as_view(), name="api-run-cancel"),
    path(f"{RUN}/archive", views.RunArchiveView.as_view(), name="api-run-archive"),
    path(f"{RUN}/restore", views.RunRestoreView.as_view(), name="api-run-restore"),
    path(f"{RUN}/repeat", views.RunRepeatView.as_view(), name="api-run-repeat"),
    path(f"{RUN}/events", views.RunEventsView.as_view(), name="api-run-events"),
    path(f"{RUN}/attempts", views.RunAttemptsView.as_view(), name="api-run-attempts"),
    path(f"{RUN}/logs", logs.LogView.as_view(), name="api-run-logs"),
    path(f"{RUN}/logs/follow", logs.LogFollowView.as_view(), name="api-run-logs-follow"),
    path(f"{RUN}/logs/search", logs.LogSearchView.as_view(), name="api-run-logs-search"),
    path(f"{RUN}/logs/download", log_download.LogDownloadView.as_view(), name="api-run-logs-download"),
    path(f"{RUN}/metrics", metrics.MetricsView.as_view(), name="api-run-metrics"),
    path("projects/<uid:project_id>/retention", retention.RetentionView.as_view(), name="api-retention"),
    path("metrics", metrics.ManyMetricsView.as_view(), name="api-metrics"),
    path("recipes", installation.RecipeListView.as_view(), name="api-recipes"),
    path("recipes/<slug:recipe>", installation.RecipeView.as_view(), name="api-recipe"),
    path("executors", installation.ExecutorListView.as_view(), name="api-executors"),
]
