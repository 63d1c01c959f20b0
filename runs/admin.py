"""Runs, attempts and events in the admin, and what this installation can run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.html import format_html

from runs import services
from runs.executor_use import read_executor_use
from runs.models import Attempt, Run, RunDeletion, RunEvent
from runs.registry import configuration_problems, look_for_recipes_with_digests
from trainhub.errors import DomainError


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that the machine writes: seen, never added, changed or deleted here."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """Runs; what can be done to them is done by the services, as for everybody."""

    list_display = [
        "name", "uid", "project", "status", "reason", "recipe", "executor", "is_simulated", "progress", "created_by",
        "created_at",
    ]  # fmt: skip
    list_filter = ["status", "recipe", "executor", "is_simulated", "is_managed", "created_at"]
    search_fields = ["name", "uid", "description", "project__name", "project__uid", "created_by__username"]
    date_hierarchy = "created_at"
    list_select_related = ["project", "created_by"]
    actions = ["cancel", "repeat"]
    readonly_fields = ["page"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(deleted_at=None)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may use the actions: whom Django's permissions let change runs."""
        return request.user.has_perm("runs.change_run")

    def get_urls(self) -> Any:
        view = self.admin_site.admin_view(self.installation_view)
        return [path("installation/", view, name="installation"), *super().get_urls()]

    def installation_view(self, request: HttpRequest) -> HttpResponse:
        """Show recipes and executors with what is wrong with them."""
        recipes, problems = look_for_recipes_with_digests()
        context = {
            **self.admin_site.each_context(request),
            "title": "Recipes and executors",
            "recipes": [recipe for _, recipe in sorted(recipes.items())],
            "recipe_problems": sorted(problems.items()),
            "configuration_problems": configuration_problems(),
            "executors": read_executor_use(),
        }
        return render(request, "admin/installation.html", context)

    @admin.display(description="Page")
    def page(self, run: Run) -> str:
        return format_html('<a href="{}">Open the run\'s page</a>', reverse("run", args=[run.uid]))

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        def cancel_one(run: Run) -> str:
            return f"is {services.cancel_run(run=run, by=request.user).status}"

        self._each(request, queryset, cancel_one)

    @admin.action(description="Repeat: launch again from the beginning", permissions=["operate"])
    def repeat(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        def repeat_one(run: Run) -> str:
            return f"was launched again as {services.repeat_run(run=run, by=request.user, changes={}).uid}"

        self._each(request, queryset, repeat_one)

    def _each(self, request: HttpRequest, queryset: QuerySet[Run], act: Callable[[Run], str]) -> None:
        """Do something to each run, one at a time; a refusal stops none of the others."""
        for run in queryset.select_related("project"):
            try:
                self.message_user(request, f"{run} {act(run)}.", messages.SUCCESS)
            except DomainError as error:
                self.message_user(request, f"{run}: {error.detail}", messages.ERROR)


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    """Executions of runs."""

    list_display = [
        "uid", "run", "number", "executor", "host", "phase", "heartbeat_at", "ended_at", "reason", "exit_code",
    ]  # fmt: skip
    list_filter = ["executor", "reason", ("ended_at", admin.EmptyFieldListFilter), "created_at"]
    search_fields = ["uid", "run__uid", "run__name", "host", "handle"]
    list_select_related = ["run"]
    ordering = ["-id"]
    exclude = ["token_digest", "tracking_digest"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(run__deleted_at=None)


@admin.register(RunEvent)
class RunEventAdmin(ReadOnlyAdmin):
    """The timelines of all runs."""

    list_display = ["at", "kind", "run", "attempt_number", "actor", "reason", "message"]
    list_filter = ["at"]
    search_fields = ["run__uid", "run__name", "kind", "actor", "reason"]
    list_select_related = ["run", "attempt"]
    ordering = ["-id"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(run__deleted_at=None)

    @admin.display(description="Attempt")
    def attempt_number(self, event: RunEvent) -> int | None:
        return event.attempt.number if event.attempt else None


@admin.register(RunDeletion)
class RunDeletionAdmin(ReadOnlyAdmin):
    """The register of deleted runs."""

    list_display = [
        "deleted_at", "actor", "name", "run_uid", "project", "ended_as", "log_lines", "metric_points", "artifact_count",
        "artifact_bytes", "erased_at",
    ]  # fmt: skip
    list_filter = ["deleted_at", ("erased_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "run_uid", "actor", "project__name", "project__uid"]
    list_select_related = ["project"]
