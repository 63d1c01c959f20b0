"""Pages of projects, their members, and one's own API tokens."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from projects import services
from projects.filters import ProjectFilter
from projects.forms import MemberForm, ProjectForm, TokenForm, settings_of
from projects.models import ApiToken, Membership, Project, Role
from projects.querysets import is_staff
from projects.run_counts import with_runs_counted
from trainhub.api.views import find, require_role
from trainhub.pages import ButtonView, FormPage, PageView, paginate


class ProjectScopedView(PageView):
    """A page of one project; `needs` is the role for it."""

    needs = Role.VIEWER
    role: Role  # of the person in the project; known once `project` is

    @cached_property
    def project(self) -> Project:
        """The project of the path. 404 for strangers, 403 when the role is too low."""
        project = find(Project.objects.visible_to(self.request.user), "project", uid=self.kwargs["project_id"])
        self.role = require_role(project, self.request.user, self.needs)
        return project

    def project_context(self) -> dict[str, Any]:
        """Return what the head of each page of a project shows."""
        return {
            "project": self.project,
            "can_edit": self.role.includes(Role.EDITOR),
            "can_manage": self.role.includes(Role.ADMIN),
        }

    def back(self) -> str:
        """Return the path of the project's page."""
        return reverse("project", args=[self.project.uid])


class ProjectListView(PageView):
    """The projects that the person may see."""

    template_name = "projects/project_list.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of the list."""
        query = request.GET.copy()
        query.setdefault("order", "-activity")
        found = ProjectFilter(query, queryset=Project.objects.visible_to(request.user))
        is_valid = found.is_valid()
        projects, paging = paginate(found.qs if is_valid else Project.objects.none(), request.GET)
        return self.page(
            status=200 if is_valid else 400,
            filter=found.form,
            is_filtered=any(request.GET.get(name) for name in ("q", "status", "owner", "task_type")),
            rows=with_runs_counted(projects),
            paging=paging,
        )


class ProjectCreateView(FormPage):
    """A new project."""

    template_name = "projects/project_form.html"

    def make_form(self, data: Any = None) -> ProjectForm:
        """Return an empty form."""
        return ProjectForm(data, sets_limits=is_staff(self.request.user))

    def done(self, form: ProjectForm) -> HttpResponse:
        """Create the project; the person becomes its admin."""
        project = services.create_project(by=self.request.user, values=form.values)
        messages.success(self.request, f"The project {project.name} was created.")
        return redirect("project", project.uid)


class ProjectEditView(ProjectScopedView, FormPage):
    """Change a project's settings."""

    template_name = "projects/project_form.html"
    needs = Role.ADMIN

    def make_form(self, data: Any = None) -> ProjectForm:
        """Return the form with the settings as they are."""
        return ProjectForm(data, initial=settings_of(self.project), sets_limits=is_staff(self.request.user))

    def context(self) -> dict[str, Any]:
        """Name the project."""
        return {"project": self.project}

    def done(self, form: ProjectForm) -> HttpResponse:
        """Change the settings; the version before stays in the history."""
        services.update_project(project=self.project, values=form.values, by=self.request.user)
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

    def make_form(self, data: Any = None) -> MemberForm:
        """Return an empty form."""
        return MemberForm(data)

    def context(self) -> dict[str, Any]:
        """List the members."""
        role = self.project.role_of(self.request.user)
        members = self.project.memberships.select_related("user").order_by("user__username")
        can_manage = role is not None and role.includes(Role.ADMIN)
        return {"project": self.project, "members": members, "role": role, "can_manage": can_manage}

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Give a role: every member may look, admins may change."""
        require_role(self.project, request.user, Role.ADMIN)
        return super().post(request, **kwargs)

    def done(self, form: MemberForm) -> HttpResponse:
        """Give the person the role."""
        role = Role(form.values["role"])
        member = services.set_member(project=self.project, username=form.values["username"], role=role)
        messages.success(self.request, f"{member.user.get_username()} is {role.value} now.")
        return redirect("members", self.project.uid)


class MemberRemoveView(ProjectScopedView, ButtonView):
    """Takes a person out of a project, after asking."""

    template_name = "projects/member_remove.html"
    needs = Role.ADMIN

    @cached_property
    def member(self) -> Membership:
        """The membership of the path. 404 for somebody who is no member."""
        members = self.project.memberships.select_related("user")
        return find(members, "member", user__username=self.kwargs["username"])

    def context(self) -> dict[str, Any]:
        """Name both, and say whether the person leaves by this."""
        is_self = self.member.user == self.request.user
        return {"project": self.project, "member": self.member, "is_self": is_self}

    def act(self) -> str:
        """Remove the membership."""
        services.remove_member(project=self.project, membership=self.member)
        return f"{self.kwargs['username']} does not belong to {self.project.name} any more."

    def back(self) -> str:
        """Return the path of the members' page, or of the projects for somebody who left this one."""
        still_there = Project.objects.visible_to(self.request.user).filter(pk=self.project.pk).exists()
        return reverse("members", args=[self.project.uid]) if still_there else reverse("projects")


class TokenListView(FormPage):
    """One's own API tokens."""

    template_name = "projects/token_list.html"

    def make_form(self, data: Any = None) -> TokenForm:
        """Return an empty form."""
        return TokenForm(data)

    def context(self) -> dict[str, Any]:
        """List the tokens, without their secrets."""
        return {"tokens": ApiToken.objects.filter(user=self.request.user), "now": timezone.now()}

    def done(self, form: TokenForm) -> HttpResponse:
        """Make a token and show it this once: not after a redirect, as its secret is kept nowhere."""
        lifetime = timedelta(days=form.values["days"])
        token, secret = services.create_token(user=self.request.user, name=form.values["name"], lifetime=lifetime)
        return self.page(status=201, form=self.make_form(), new_token=token, secret=secret, **self.context())


class TokenRevokeView(ButtonView):
    """Revokes a token of one's own, after asking."""

    template_name = "projects/token_revoke.html"

    @cached_property
    def token(self) -> ApiToken:
        """The token of the path. 404 for those of others."""
        token: ApiToken = find(
            ApiToken.objects.filter(user=self.request.user), "token", token_key=self.kwargs["token_id"]
        )
        return token

    def context(self) -> dict[str, Any]:
        """Name the token."""
        return {"token": self.token}

    def act(self) -> str:
        """Revoke it."""
        services.revoke_token(token=self.token)
        return f"The token {self.token.name} was revoked."

    def back(self) -> str:
        """Return the path of the tokens' page."""
        return reverse("tokens")
