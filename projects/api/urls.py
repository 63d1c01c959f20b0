"""Paths of the projects API."""

from django.urls import path

from projects.api import views

urlpatterns = [
    path("projects", views.ProjectListView.as_view(), name="api-projects"),
    path("projects/<uid:project_id>", views.ProjectView.as_view(), name="api-project"),
    path("projects/<uid:project_id>/archive", views.ProjectArchiveView.as_view(), name="api-project-archive"),
    path("projects/<uid:project_id>/restore", views.ProjectRestoreView.as_view(), name="api-project-restore"),
    path("projects/<uid:project_id>/versions", views.ProjectVersionsView.as_view(), name="api-project-versions"),
    path("projects/<uid:project_id>/members", views.MemberListView.as_view(), name="api-members"),
    path("projects/<uid:project_id>/members/<username:username>", views.MemberView.as_view(), name="api-member"),
    path("tokens", views.TokenListView.as_view(), name="api-tokens"),
    path("tokens/<slug:token_id>", views.TokenView.as_view(), name="api-token"),
]
