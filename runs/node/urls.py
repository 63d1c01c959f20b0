"""Paths that runners call."""

from django.urls import path

from runs.node import views

urlpatterns = [
    path("claim", views.claim),
    path("started", views.started),
    path("heartbeat", views.heartbeat),
    path("logs", views.logs),
    path("metrics", views.metrics),
    path("exit", views.exit_report),
]
