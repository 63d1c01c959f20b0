"""Paths that runners call for artifacts."""

from django.urls import path

from artifacts.node import views

urlpatterns = [
    path("artifacts", views.offer),
    path("artifacts/<uid:artifact_id>/files/<int:index>", views.upload),
    path("artifacts/<uid:artifact_id>/complete", views.complete),
    path("resume/files/<int:index>", views.resume_file),
]
