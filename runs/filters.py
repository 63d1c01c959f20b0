"""Filters of run lists, for the API and the pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_filters
from django import forms
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet

from projects.models import Project
from runs.conditions import Condition, InvalidCondition, parse_conditions
from runs.lifecycle import Status
from runs.models import Run, RunTracking
from runs.ordering import COLUMNS, NEWEST_FIRST, Order, parse_order
from runs.querysets import RunQuerySet
from trainhub.api.filtering import TextsFilter, TextsInput, TimeFilter

ARCHIVED = [("true", "Archived runs alone"), ("all", "Archived runs too")]
CHECKPOINT_TAGS = [(value, value) for value in ("candidate", "release", "archived")]


class _ConditionsField(forms.Field):
    def to_python(self, value: list[str] | None) -> tuple[Condition, ...]:
        """Return the conditions of all texts."""
        conditions: tuple[Condition, ...] = _parsed(parse_conditions, value or [])
        return conditions


class ConditionsFilter(TextsFilter):
    """Conditions on metrics, parameters and tags; `runs.listing` carries them out."""

    field_class = _ConditionsField

    def filter(self, qs: QuerySet[Run], value: Any) -> QuerySet[Run]:  # noqa: ARG002 - signature of the base class
        """Leave the rows as they are."""
        return qs


class _OrderField(forms.Field):
    def to_python(self, value: str | None) -> Order:
        """Return the order; none named is the usual one."""
        order: Order = _parsed(parse_order, value.strip()) if value else NEWEST_FIRST
        return order


class OrderFilter(django_filters.Filter):
    """The order of a list; `runs.listing` carries it out."""

    field_class = _OrderField

    def filter(self, qs: QuerySet[Run], value: Order) -> QuerySet[Run]:  # noqa: ARG002
        """Leave the rows as they are."""
        return qs


class ArchivedFilter(django_filters.ChoiceFilter):
    """Whether archived runs are listed; `RunFilter.filter_queryset` sees to it, also when nothing is asked."""

    def filter(self, qs: QuerySet[Run], value: Any) -> QuerySet[Run]:  # noqa: ARG002 - signature of the base class
        """Leave the rows as they are."""
        return qs


def _parsed(parse: Callable[[Any], Any], value: Any) -> Any:
    try:
        return parse(value)
    except InvalidCondition as error:
        raise forms.ValidationError(str(error), code="invalid") from None


def _time_input() -> forms.DateTimeInput:
    return forms.DateTimeInput(attrs={"placeholder": "2026-01-31T18:00", "spellcheck": "false"})


class RunFilter(django_filters.FilterSet):
    """What narrows a list of runs. `form.cleaned_data` has `where` and `order`, which `qs` leaves to `runs.listing`.

    `qs` never has deleted runs, and archived ones only where `archived` asks for them.
    """

    status = django_filters.MultipleChoiceFilter(choices=Status.choices, distinct=False)  # a run has one anyway
    name = django_filters.CharFilter(lookup_expr="icontains", max_length=200, label="Text in the name")
    recipe = django_filters.CharFilter(max_length=64)
    executor = django_filters.CharFilter(max_length=64)
    project = django_filters.CharFilter(method="of_project", max_length=64, label="A project's id")
    project_tag = django_filters.CharFilter(method="of_tagged_projects", max_length=100, label="A tag of the project")
    checkpoint_tag = django_filters.ChoiceFilter(
        method="with_tagged_checkpoint",
        choices=CHECKPOINT_TAGS,
        empty_label="Any tag, or none",
        label="A checkpoint of the run has this tag",
    )
    owner = django_filters.CharFilter(method="launched_by", max_length=150, label="User name of who launched it")
    created_after = TimeFilter(field_name="created_at", lookup_expr="gte", widget=_time_input())
    created_before = TimeFilter(field_name="created_at", lookup_expr="lt", widget=_time_input())
    archived = ArchivedFilter(
        choices=ARCHIVED,
        empty_label="No archived runs",
        label="Archive",
        help_text="true: archived runs alone; all: these too. They are left out otherwise.",
    )
    parent = django_filters.CharFilter(method="nested_in", max_length=64, label="Id of the run they are nested in")
    q = django_filters.CharFilter(method="search", max_length=200, label="Text in name or description, or the id")
    where = ConditionsFilter(
        widget=TextsInput(attrs={"class": "code", "spellcheck": "false", "placeholder": "metrics.loss < 1.2"}),
        label="Conditions",
        help_text="Conditions on newest metrics, on parameters given at launch (`hyperparameters.`, "
        "`model_parameters.`) or logged by a tracking client (`params.`) and on its tags, such as `metrics.loss < 1.2 "
        "and params.optim = 'adamw' and tags.team = 'nlp'`; given again, all must hold.",
    )
    order = OrderFilter(
        widget=forms.TextInput(
            attrs={"class": "code", "spellcheck": "false", "placeholder": "-created_at", "list": "orders"}
        ),
        label="Order",
        help_text=f"{', '.join(COLUMNS)}, or metrics.<name> for the newest value; with a leading - descending.",
    )

    class Meta:
        model = Run
        fields: list[str] = []

    def filter_queryset(self, queryset: RunQuerySet) -> RunQuerySet:
        """Leave out what lists do not show, then filter."""
        filtered: RunQuerySet = super().filter_queryset(queryset.listed(self.form.cleaned_data.get("archived") or ""))
        return filtered

    def of_project(self, rows: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:  # noqa: ARG002
        """Keep the runs of a project. Not a join: the database must know that it is one project."""
        return rows.filter(project=Project.objects.filter(uid=value).values("pk")[:1])

    def of_tagged_projects(self, rows: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:  # noqa: ARG002
        """Keep the runs of projects with a tag. Projects are few, and SQLite cannot search in JSON lists."""
        tagged = [key for key, tags in Project.objects.order_by().values_list("pk", "tags") if value in tags]
        return rows.filter(project__in=tagged)

    def with_tagged_checkpoint(self, rows: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:  # noqa: ARG002
        """Keep the runs that have a checkpoint with a tag."""
        return rows.filter(pk__in=Run.objects.filter(artifacts__tags__value=value).order_by().values("pk"))

    def launched_by(self, rows: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:  # noqa: ARG002
        """Keep the runs that a person launched."""
        people = get_user_model().objects.filter(username=value)
        return rows.filter(created_by=people.values("pk")[:1])

    def nested_in(self, rows: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:  # noqa: ARG002
        """Keep the runs that a tracking client nested below a run."""
        below = RunTracking.objects.filter(parent=Run.objects.not_deleted().filter(uid=value).values("pk")[:1])
        return rows.filter(pk__in=below.values("pk"))

    def search(self, rows: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:  # noqa: ARG002
        """Keep the runs whose name or description contains the text, or whose id it is."""
        return rows.filter(Q(name__icontains=value) | Q(description__icontains=value) | Q(uid=value))
