"""Paths of the pages of projects and tokens, below /ui/."""

from django.urls import path

from projects import version_views, views

PROJECT = "projects/<uid:project_id>"

urlpatterns = [
    path("projects", views.ProjectListView.as_view(), name="projects"),
    path("projects/new", views.ProjectCreateView.as_view(), name="project-new"),
    path(f"{PROJECT}/versions", version_views.VersionsView.as_view(), name="project-versions"),
    path(f"{PROJECT}/edit", views.ProjectEditView.as_view(), name="project-edit"),
    path(f"{PROJECT}/archive", views.ProjectArchiveView.as_view(), name="project-archive"),
    path(f"{PROJECT}/restore", views.ProjectRestoreView.as_view(), name="project-restore"),
    path(f"{PROJECT}/members", views.MemberListView.as_view(), name="members"),
    path(f"{PROJECT}/members/<username:username>/remove", views.MemberRemoveView.as_view(), name="member-remove"),
    path("tokens", views.TokenListView.as_view(), name="tokens"),
    path("tokens/<slug:token_id>/revoke", views.TokenRevokeView.as_view(), name="token-revoke"),
]
