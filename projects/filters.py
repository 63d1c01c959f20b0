"""Filters of project lists, for the API and the pages."""

from __future__ import annotations

import django_filters

from projects.models import Project, ProjectStatus
from projects.querysets import ProjectQuerySet
from trainhub.api.filtering import NewestFirstOrdering


class ProjectFilter(django_filters.FilterSet):
    """status, owner, task_type exactly; q in name, description and base model; order."""

    status = django_filters.MultipleChoiceFilter(choices=ProjectStatus.choices)
    owner = django_filters.CharFilter(max_length=200)
    task_type = django_filters.CharFilter(max_length=100)
    q = django_filters.CharFilter(method="search", max_length=200, label="Text to find")
    order = NewestFirstOrdering(fields=[("created_at", "created_at"), ("name", "name"), ("updated_at", "updated_at")])

    class Meta:
        model = Project
        fields: list[str] = []

    def search(self, rows: ProjectQuerySet, name: str, value: str) -> ProjectQuerySet:  # noqa: ARG002
        """Keep the projects that contain the text."""
        return rows.matching(value)
