"""Filters of project lists, for the API and the pages."""

from __future__ import annotations

from typing import Any

import django_filters

from projects.models import Project, ProjectStatus
from projects.querysets import ProjectQuerySet
from trainhub.api.filtering import NewestFirstOrdering


class ProjectOrdering(NewestFirstOrdering):
    """The orders of a list of projects."""

    def filter(self, qs: Any, value: Any) -> Any:
        """Order the rows; that by activity looks into the runs."""
        return super().filter(qs.with_activity() if value else qs, value)


class ProjectFilter(django_filters.FilterSet):
    """status, owner, task_type exactly; q in name, description and base model; order."""

    status = django_filters.MultipleChoiceFilter(choices=ProjectStatus.choices)
    owner = django_filters.CharFilter(max_length=200)
    task_type = django_filters.CharFilter(max_length=100)
    q = django_filters.CharFilter(method="search", max_length=200, label="Text to find")
    order = ProjectOrdering(
        fields=[
            ("created_at", "created_at"),
            ("name", "name"),
            ("updated_at", "updated_at"),
            ("active_at", "activity"),
        ],
        choices=[
            ("-activity", "Last active first"),
            ("activity", "Longest idle first"),
            ("name", "Name, A to Z"),
            ("-name", "Name, Z to A"),
            ("-created_at", "Newest first"),
            ("created_at", "Oldest first"),
            ("-updated_at", "Last edited first"),
            ("updated_at", "Longest unedited first"),
        ],
        empty_label=None,
        help_text="activity: when the newest run was made, for a project without runs when that was.",
    )

    class Meta:
        model = Project
        fields: list[str] = []

    def search(self, rows: ProjectQuerySet, name: str, value: str) -> ProjectQuerySet:  # noqa: ARG002
        """Keep the projects that contain the text."""
        return rows.matching(value)
