"""API of projects, their members and versions, and of the caller's tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from projects import services
from projects.api import serializers as shapes
from projects.filters import ProjectFilter
from projects.models import ApiToken, Project, Role
from trainhub.api.filtering import apply_filter, filter_names, filter_parameters
from trainhub.api.idempotency import answer_once
from trainhub.api.schema import IDEMPOTENCY_KEY, errors
from trainhub.api.views import HubView, find, validated


class ProjectListView(HubView):
    """All projects that the caller may see, and the way to a new one."""

    query_parameters = filter_names(ProjectFilter)

    @extend_schema(
        operation_id="projects_list",
        parameters=filter_parameters(ProjectFilter),
        responses={200: shapes.ProjectSummarySerializer(many=True), **errors(400, 401)},
    )
    def get(self, request: Request) -> Response:
        """List projects, newest first."""
        rows = apply_filter(ProjectFilter, request.query_params, Project.objects.visible_to(request.user))
        return Response(shapes.ProjectSummarySerializer(rows, many=True).data)

    @extend_schema(
        operation_id="projects_create",
        parameters=[IDEMPOTENCY_KEY],
        request=shapes.ProjectRequestSerializer,
        responses={201: shapes.ProjectSerializer, **errors(400, 401, 403, 409)},
    )
    def post(self, request: Request) -> Response:
        """Create a project; the caller becomes its admin."""
        values = validated(shapes.ProjectRequestSerializer, request.data)
        return answer_once(request, lambda: self._create(request, values))

    def _create(self, request: Request, values: dict[str, Any]) -> Response:
        project = services.create_project(by=request.user, values=values)
        location = request.build_absolute_uri(f"/projects/{project.uid}")
        return Response(
            shapes.ProjectSerializer(project).data, status=status.HTTP_201_CREATED, headers={"Location": location}
        )


class ProjectView(HubView):
    """One project."""

    @extend_schema(operation_id="projects_retrieve", responses={200: shapes.ProjectSerializer, **errors(401, 404)})
    def get(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        """Return a project with its newest runs."""
        return Response(shapes.ProjectSerializer(self.get_project()).data)

    @extend_schema(
        operation_id="projects_update",
        request=shapes.ProjectChangeSerializer,
        responses={200: shapes.ProjectSerializer, **errors(400, 401, 403, 404, 409)},
    )
    def patch(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        """Change settings of a project; the version before stays in its history.

        `max_running_runs` and `max_gpus` are changed by operators alone.
        """
        project = self.get_project(Role.ADMIN)
        values = validated(shapes.ProjectChangeSerializer, request.data)
        changed = services.update_project(project=project, values=values, by=request.user)
        return Response(shapes.ProjectSerializer(changed).data)


class ProjectArchiveView(HubView):
    """Into the archive."""

    @extend_schema(
        operation_id="projects_archive",
        request=None,
        responses={200: shapes.ProjectSerializer, **errors(401, 403, 404, 409)},
    )
    def post(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        """Archive a project: it stays readable, nothing can be launched in it."""
        project = services.archive_project(project=self.get_project(Role.ADMIN))
        return Response(shapes.ProjectSerializer(project).data)


class ProjectRestoreView(HubView):
    """Out of the archive."""

    @extend_schema(
        operation_id="projects_restore",
        request=None,
        responses={200: shapes.ProjectSerializer, **errors(401, 403, 404, 409)},
    )
    def post(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        """Take a project out of the archive."""
        project = services.restore_project(project=self.get_project(Role.ADMIN))
        return Response(shapes.ProjectSerializer(project).data)


class ProjectVersionsView(HubView):
    """The history of the settings."""

    @extend_schema(
        operation_id="projects_versions",
        responses={200: shapes.VersionSerializer(many=True), **errors(401, 404)},
    )
    def get(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        """List the versions of a project's settings, newest first, with what each changed."""
        return Response(shapes.describe_versions(self.get_project()))


class MemberListView(HubView):
    """Who belongs to a project."""

    @extend_schema(operation_id="members_list", responses={200: shapes.MemberSerializer(many=True), **errors(401, 404)})
    def get(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        """List the members of a project."""
        members = self.get_project().memberships.select_related("user").order_by("user__username")
        return Response(shapes.MemberSerializer(members, many=True).data)

    @extend_schema(
        operation_id="members_set",
        request=shapes.MemberRequestSerializer,
        responses={200: shapes.MemberSerializer, **errors(400, 401, 403, 404, 409)},
    )
    def post(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        """Give a person a role in the project, or another one."""
        project = self.get_project(Role.ADMIN)
        values = validated(shapes.MemberRequestSerializer, request.data)
        member = services.set_member(project=project, username=values["username"], role=Role(values["role"]))
        return Response(shapes.MemberSerializer(member).data)


class MemberView(HubView):
    """One member."""

    @extend_schema(operation_id="members_remove", responses={204: None, **errors(401, 403, 404, 409)})
    def delete(self, request: Request, project_id: str, username: str) -> Response:  # noqa: ARG002
        """Take a person out of the project."""
        project = self.get_project(Role.ADMIN)
        member = find(project.memberships.select_related("user"), "member", user__username=username)
        services.remove_member(project=project, membership=member)
        return Response(status=status.HTTP_204_NO_CONTENT)


class TokenListView(HubView):
    """The caller's own tokens."""

    @extend_schema(operation_id="tokens_list", responses={200: shapes.TokenSerializer(many=True), **errors(401)})
    def get(self, request: Request) -> Response:
        """List the caller's tokens, without their secrets."""
        tokens = ApiToken.objects.filter(user=request.user).order_by("-created")
        return Response(shapes.TokenSerializer(tokens, many=True).data)

    @extend_schema(
        operation_id="tokens_create",
        parameters=[IDEMPOTENCY_KEY],
        request=shapes.TokenRequestSerializer,
        responses={201: shapes.NewTokenSerializer, **errors(400, 401, 409)},
    )
    def post(self, request: Request) -> Response:
        """Make a token; the answer shows it this once."""
        values = validated(shapes.TokenRequestSerializer, request.data)
        return answer_once(request, lambda: self._create(request, values), secret="token")  # noqa: S106 - a field's name

    def _create(self, request: Request, values: dict[str, Any]) -> Response:
        lifetime = timedelta(days=values["days"]) if "days" in values else None
        token, secret = services.create_token(user=request.user, name=values["name"], lifetime=lifetime)
        return Response({**shapes.TokenSerializer(token).data, "token": secret}, status=status.HTTP_201_CREATED)


class TokenView(HubView):
    """One token of the caller's."""

    @extend_schema(
        operation_id="tokens_revoke",
        parameters=[OpenApiParameter("token_id", str, OpenApiParameter.PATH, description="`id` of the list")],
        responses={204: None, **errors(401, 404)},
    )
    def delete(self, request: Request, token_id: str) -> Response:
        """Revoke a token."""
        services.revoke_token(token=find(ApiToken.objects.filter(user=request.user), "token", token_key=token_id))
        return Response(status=status.HTTP_204_NO_CONTENT)
