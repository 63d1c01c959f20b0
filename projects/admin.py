"""Projects, members and API tokens in the admin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.html import format_html
from simple_history.admin import SimpleHistoryAdmin

from projects import services
from projects.models import ApiToken, Membership, Project, Role
from trainhub.errors import Conflict, DomainError

admin.site.site_header = admin.site.site_title = "trainhub"
admin.site.index_title = "Operators"


class MembershipForm(forms.ModelForm):  # type: ignore[type-arg]
    """A member; who it is cannot change afterwards, the role can."""

    class Meta:
        model = Membership
        fields = ["user", "role"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["user"].disabled = bool(self.instance.pk)


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    """The members on a project's page."""

    model = Membership
    form = MembershipForm
    extra = 0
    autocomplete_fields = ["user"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("user", "project")


@admin.register(Project)
class ProjectAdmin(SimpleHistoryAdmin):
    """Projects with their members and history; settings are edited on the project's own page, by one form for all."""

    list_display = ["name", "uid", "status", "owner", "task_type", "base_model", "run_count", "created_at"]
    list_filter = ["status", "task_type", "created_at"]
    search_fields = ["name", "uid", "description", "owner", "base_model"]
    fields = ["page", "uid", "status", *services.EDITABLE_FIELDS, "created_by", "created_at", "updated_at"]
    readonly_fields = fields
    list_select_related = True
    inlines = [MembershipInline]
    actions = ["archive", "restore"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).with_run_counts()

    @admin.display(description="Runs", ordering="run_count")
    def run_count(self, project: Any) -> int:
        return int(project.run_count)

    @admin.display(description="Page")
    def page(self, project: Project) -> str:
        return format_html('<a href="{}">Open the project\'s page</a>', reverse("project", args=[project.uid]))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def revert_disabled(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: Any) -> None:
        """Write nothing: only members change here."""

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: Any) -> None:
        """Change members by the services, which keep an admin in every project."""
        formset.save(commit=False)
        for member in [*formset.new_objects, *(member for member, _ in formset.changed_objects)]:
            role = Role(member.role)
            self._try(
                request, services.set_member, project=member.project, username=member.user.get_username(), role=role
            )
        for member in formset.deleted_objects:
            self._try(request, services.remove_member, project=member.project, membership=member)

    def _try(self, request: HttpRequest, service: Callable[..., Any], **arguments: Any) -> None:
        try:
            service(**arguments)
        except DomainError as error:
            self.message_user(request, error.detail, messages.ERROR)

    @admin.action(description="Archive", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Project]) -> None:
        self._each(request, queryset, services.archive_project, "archived")

    @admin.action(description="Restore from the archive", permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Project]) -> None:
        self._each(request, queryset, services.restore_project, "restored")

    def _each(self, request: HttpRequest, queryset: QuerySet[Project], service: Callable[..., Any], done: str) -> None:
        for project in Project.objects.filter(pk__in=queryset.values("pk")):
            try:
                service(project=project)
            except Conflict as error:
                self.message_user(request, f"{project.name}: {error.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{project.name} was {done}.", messages.SUCCESS)


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """API tokens: seen and revoked. The key of a row is the token's digest, so no path or checkbox may carry it."""

    list_display = ["name", "user", "token_key", "created", "expiry", "revoke"]
    list_display_links = None
    list_filter = ["created", "expiry"]
    search_fields = ["name", "user__username", "token_key"]
    list_select_related = ["user"]
    actions = None

    def get_urls(self) -> Any:
        """Serve the list and revoking alone."""
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="projects_apitoken_changelist"),
            path("<slug:token_key>/revoke/", view(self.revoke_view), name="projects_apitoken_revoke"),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="")
    def revoke(self, token: ApiToken) -> str:
        return format_html('<a href="{}">Revoke</a>', reverse("admin:projects_apitoken_revoke", args=[token.token_key]))

    def revoke_view(self, request: HttpRequest, token_key: str) -> HttpResponse:
        """Ask, and revoke on POST."""
        token = ApiToken.objects.select_related("user").filter(token_key=token_key).first()
        if token is None or not self.has_delete_permission(request):
            raise Http404
        if request.method != "POST":
            return render(request, "admin/revoke_token.html", {**self.admin_site.each_context(request), "token": token})
        services.revoke_token(token=token)
        self.message_user(request, f"The token {token} was revoked.", messages.SUCCESS)
        return redirect("admin:projects_apitoken_changelist")
