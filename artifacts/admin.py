"""Artifacts, their tags and the model registry in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from artifacts.models import Artifact, ArtifactTag, LoggedModel, ModelVersion, RegisteredModel
from runs.admin import ReadOnlyAdmin


class ArtifactTagInline(admin.TabularInline):  # type: ignore[type-arg]
    """Tags, to read: the pages and the API apply them, so that the timeline knows."""

    model = ArtifactTag
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("applied_by")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Artifact)
class ArtifactAdmin(ReadOnlyAdmin):
    """What runs produced."""

    list_display = ["name", "uid", "run", "type", "step", "state", "size_bytes", "tag_values", "created_at"]
    list_filter = ["type", "state", "tags__value", "created_at"]
    search_fields = ["name", "uid", "run__uid", "run__name"]
    list_select_related = ["run"]
    ordering = ["-id"]
    readonly_fields = ["page"]
    inlines = [ArtifactTagInline]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(run__deleted_at=None).prefetch_related("tags")

    @admin.display(description="Tags")
    def tag_values(self, artifact: Artifact) -> str:
        return ", ".join(tag.value for tag in artifact.tags.all())

    @admin.display(description="Page")
    def page(self, artifact: Artifact) -> str:
        return format_html('<a href="{}">Open the artifact\'s page</a>', reverse("artifact", args=[artifact.uid]))


class ModelVersionInline(admin.TabularInline):  # type: ignore[type-arg]
    """Versions, to read: clients make them, and their checkpoints' timelines know."""

    model = ModelVersion
    extra = 0
    can_delete = False
    fields = ["number", "artifact", "run", "stage", "created_by", "created_at", "deleted_at"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("artifact", "run", "created_by").order_by("-number")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(RegisteredModel)
class RegisteredModelAdmin(ReadOnlyAdmin):
    """The model registry."""

    list_display = ["name", "project", "created_by", "created_at", "updated_at"]
    list_filter = ["created_at"]
    search_fields = ["name", "project__name", "project__uid"]
    list_select_related = ["project", "created_by"]
    ordering = ["-id"]
    inlines = [ModelVersionInline]


@admin.register(LoggedModel)
class LoggedModelAdmin(ReadOnlyAdmin):
    """What tracking clients say of the checkpoints that they put."""

    list_display = ["name", "uid", "project", "run", "readiness", "model_type", "created_at"]
    list_filter = ["readiness", "created_at"]
    search_fields = ["name", "uid", "run__uid", "project__name"]
    list_select_related = ["project", "run"]
    ordering = ["-id"]
