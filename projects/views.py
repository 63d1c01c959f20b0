"""Pages of projects, their members, and one's own API tokens."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from projects import services
from projects.api.serializers import describe_versions
from projects.filters import ProjectFilter
from projects.forms import MemberForm, ProjectForm, TokenForm, settings_of
from projects.models import ApiToken, Project, Role
from trainhub.api.views import find, require_role
from trainhub.pages import ButtonView, FormPage, PageView, paginate

NEWEST_RUNS = 20  # on the project's page; a link leads to the rest
NEWEST_VERSIONS = 10


class ProjectScopedView(PageView):
    """A page of one project; `needs` is the role for it."""

    needs = Role.VIEWER

    @cached_property
    def project(self) -> Project:
        """The project of the path. 404 for strangers, 403 when the role is too low."""
        project = find(Project.objects.visible_to(self.request.user), "project", uid=self.kwargs["project_id"])
        require_role(project, self.request.user, self.needs)
        return project

    def back(self) -> str:
        """Return the path of the project's page."""
        return reverse("project", args=[self.project.uid])


class ProjectListView(PageView):
    """The projects that the person may see."""

    template_name = "projects/project_list.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of the list."""
        found = ProjectFilter(request.GET, queryset=Project.objects.visible_to(request.user))
        is_valid = found.is_valid()
        rows = found.qs if is_valid else Project.objects.none()
        projects, paging = paginate(rows.with_run_counts(), request.GET)
        return self.page(status=200 if is_valid else 400, filter=found.form, projects=projects, paging=paging)


class ProjectCreateView(FormPage):
    """A new project."""

    template_name = "projects/project_form.html"

    def make_form(self, data: Any = None) -> ProjectForm:
        """Return an empty form."""
        return ProjectForm(data)

    def done(self, form: ProjectForm) -> HttpResponse:
        """Create the project; the person becomes its admin."""
        project = services.create_project(by=self.request.user, values=form.values)
        messages.success(self.request, f"The project {project.name} was created.")
        return redirect("project", project.uid)


class ProjectDetailView(ProjectScopedView):
    """One project: goal, defaults, runs, members, versions."""

    template_name = "projects/project_detail.html"

    def get(self, request: HttpRequest, project_id: str) -> HttpResponse:  # noqa: ARG002
        """Show the project with its newest runs."""
        role = self.project.role_of(request.user)
        versions = describe_versions(self.project)
        return self.page(
            project=self.project,
            role=role,
            can_edit=role is not None and role.includes(Role.EDITOR),
            can_manage=role is not None and role.includes(Role.ADMIN),
            runs=self.project.runs.not_deleted().with_table_columns()[:NEWEST_RUNS],
            run_counts=self.project.count_runs_by_status(),
            run_total=sum(self.project.count_runs_by_status().values()),
            members=self.project.memberships.select_related("user").order_by("user__username"),
            versions=versions[:NEWEST_VERSIONS],
            version_count=len(versions),
        )


class ProjectEditView(ProjectScopedView, FormPage):
    """Change a project's settings."""

    template_name = "projects/project_form.html"
    needs = Role.ADMIN

    def make_form(self, data: Any = None) -> ProjectForm:
        """Return the form with the settings as they are."""
        return ProjectForm(data, initial=settings_of(self.project))

    def context(self) -> dict[str, Any]:
        """Name the project."""
        return {"project": self.project}

    def done(self, form: ProjectForm) -> HttpResponse:
        """Change the settings; the version before stays in the history."""
        services.update_project(project=self.project, values=form.values)
        messages.success(self.request, "The settings were changed.")
        return redirect(self.back())


class ProjectArchiveView(ProjectScopedView, ButtonView):
    """Into the archive, after asking."""

    template_name = "projects/project_archive.html"
    needs = Role.ADMIN

    def context(self) -> dict[str, Any]:
        """Name the project."""
        return {"project": self.project}

    def act(self) -> str:
        """Archive the project."""
        services.archive_project(project=self.project)
        return "The project was archived. It can be read; nothing can be launched in it."


class ProjectRestoreView(ProjectScopedView, ButtonView):
    """Out of the archive."""

    needs = Role.ADMIN

    def act(self) -> str:
        """Restore the project."""
        services.restore_project(project=self.project)
        return "The project is out of the archive."


class MemberListView(ProjectScopedView, FormPage):
    """Who belongs to a project; admins add people and change roles."""

    template_name = "projects/member_list.html"
    needs = Role.ADMIN

    def make_form(self, data: Any = None) -> MemberForm:
        """Return an empty form."""
        return MemberForm(data)

    def context(self) -> dict[str, Any]:
        """List the members."""
        members = self.project.memberships.select_related("user").order_by("user__username")
        return {"project": self.project, "members": members}

    def done(self, form: MemberForm) -> HttpResponse:
        """Give the person the role."""
        role = Role(form.values["role"])
        member = services.set_member(project=self.project, username=form.values["username"], role=role)
        messages.success(self.request, f"{member.user.get_username()} is {role.value} now.")
        return redirect("members", self.project.uid)


class MemberRemoveView(ProjectScopedView, ButtonView):
    """Takes a person out of a project."""

    needs = Role.ADMIN

    def act(self) -> str:
        """Remove the membership."""
        members = self.project.memberships.select_related("user")
        member = find(members, "member", user__username=self.kwargs["username"])
        services.remove_member(project=self.project, membership=member)
        return f"{self.kwargs['username']} does not belong to the project any more."

    def back(self) -> str:
        """Return the path of the members' page."""
        return reverse("members", args=[self.project.uid])


class TokenListView(FormPage):
    """One's own API tokens."""

    template_name = "projects/token_list.html"

    def make_form(self, data: Any = None) -> TokenForm:
        """Return an empty form."""
        return TokenForm(data)

    def context(self) -> dict[str, Any]:
        """List the tokens, without their secrets."""
        return {"tokens": ApiToken.objects.filter(user=self.request.user)}

    def done(self, form: TokenForm) -> HttpResponse:
        """Make a token and show it this once: not after a redirect, as its secret is kept nowhere."""
        lifetime = timedelta(days=form.values["days"])
        token, secret = services.create_token(user=self.request.user, name=form.values["name"], lifetime=lifetime)
        return self.page(status=201, form=self.make_form(), new_token=token, secret=secret, **self.context())


class TokenRevokeView(ButtonView):
    """Revokes a token of one's own."""

    def act(self) -> str:
        """Revoke it."""
        own = ApiToken.objects.filter(user=self.request.user)
        token = find(own, "token", token_key=self.kwargs["token_id"])
        services.revoke_token(token=token)
        return f"The token {token.name} was revoked."

    def back(self) -> str:
        """Return the path of the tokens' page."""
        return reverse("tokens")
