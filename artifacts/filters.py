"""Filters of the storage list, for the API and the page."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet

from artifacts.keeping.rule import Holds
from artifacts.keeping.ties import tied
from artifacts.models import Artifact, ArtifactState, ArtifactType

LEVELS = [("project", "Projects"), ("run", "Runs"), ("artifact", "Artifacts")]
HELD_BY = [
    (Holds.TAG, "A tag"),
    (Holds.RESUMED, "A run that was resumed from it, or a restart"),
    (Holds.REGISTERED, "A version of a registered model"),
    (Holds.LOGGED, "A logged model"),
    ("nothing", "None of these"),
]


class StorageFilter(django_filters.FilterSet):
    """What is summed and listed. Without `state`, all that takes room: everything but what was removed."""

    by = django_filters.ChoiceFilter(
        choices=LEVELS,
        method="leave",
        empty_label=None,
        label="List",
        help_text="What a row is; a project if not said.",
    )
    project = django_filters.CharFilter(field_name="run__project__uid", max_length=32, label="Project")
    run = django_filters.CharFilter(field_name="run__uid", max_length=32, label="Run")
    type = django_filters.ChoiceFilter(choices=ArtifactType.choices, empty_label="any")
    state = django_filters.ChoiceFilter(choices=ArtifactState.choices, empty_label="all with bytes")
    held_by = django_filters.ChoiceFilter(
        choices=HELD_BY, method="held", empty_label="whatever", label="Built on it", help_text="What is built on it."
    )
    q = django_filters.CharFilter(field_name="name", lookup_expr="icontains", max_length=200, label="Name")

    class Meta:
        model = Artifact
        fields: list[str] = []

    def leave(self, rows: QuerySet[Artifact], name: str, value: str) -> QuerySet[Artifact]:  # noqa: ARG002
        """Leave the rows as they are."""
        return rows

    def held(self, rows: QuerySet[Artifact], name: str, value: str) -> QuerySet[Artifact]:  # noqa: ARG002
        """Keep what something of this kind is built on, or nothing at all."""
        if value != "nothing":
            return tied(rows, Holds(value))
        for kind in (Holds.TAG, Holds.RESUMED, Holds.REGISTERED, Holds.LOGGED):
            rows = rows.exclude(pk__in=tied(Artifact.objects.order_by(), kind).values("pk"))
        return rows

    def filter_queryset(self, queryset: QuerySet[Artifact]) -> Any:
        """Leave out what takes no room, unless a state is asked for."""
        rows = super().filter_queryset(queryset)
        return rows if self.form.cleaned_data.get("state") else rows.exclude(state=ArtifactState.REMOVED)
