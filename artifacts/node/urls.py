"""Paths that runners call for artifacts."""

from django.urls import path

from artifacts.node import views

urlpatterns = [
    path("artifacts", views.offer),
    path("artifacts/<uid:artifact_id>/files/<int:index>", views.upload),
    path("artifacts/<uid:artifact_id>/files/<int:index>/part", views.part),
    path("artifacts/<uid:artifact_id>/files/<int:index>/join", views.join),
    path("artifacts/<uid:artifact_id>/complete", views.complete),
    path("resume/files/<int:index>", views.resume_file),
    path("resume/files/<int:index>/link", views.resume_link),
]
