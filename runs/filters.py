"""Filters of run lists, for the API and the pages."""

from __future__ import annotations

import django_filters
from django.db.models import Q, QuerySet

from runs.lifecycle import Status
from runs.models import Run
from trainhub.api.filtering import NewestFirstOrdering, TimeFilter


class RunFilter(django_filters.FilterSet):
    """status, recipe, executor, project; created range; q in name and description; order."""

    status = django_filters.MultipleChoiceFilter(choices=Status.choices)
    recipe = django_filters.CharFilter(max_length=64)
    executor = django_filters.CharFilter(max_length=64)
    project = django_filters.CharFilter(field_name="project__uid", max_length=64)
    owner = django_filters.CharFilter(field_name="created_by__username", max_length=150)
    created_after = TimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = TimeFilter(field_name="created_at", lookup_expr="lt")
    q = django_filters.CharFilter(method="search", max_length=200, label="Text to find")
    order = NewestFirstOrdering(
        fields=[
            ("created_at", "created_at"),
            ("completed_at", "completed_at"),
            ("name", "name"),
            ("progress", "progress"),
            ("priority", "priority"),
        ]
    )

    class Meta:
        model = Run
        fields: list[str] = []

    def search(self, rows: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:  # noqa: ARG002
        """Keep the runs whose name or description contains the text, or whose id it is."""
        return rows.filter(Q(name__icontains=value) | Q(description__icontains=value) | Q(uid=value))
