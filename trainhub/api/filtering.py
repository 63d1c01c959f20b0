"""FilterSets in the API: checked strictly and described in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, TypeVar

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import F, Model, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions

Row = TypeVar("Row", bound=Model)
FilterSet = TypeVar("FilterSet", bound=django_filters.FilterSet)


class _UtcTimeField(django_filters.fields.IsoDateTimeField):
    def to_python(self, value: Any) -> Any:
        """Return the time in UTC; one that UTC has no year for is as wrong as any other text."""
        moment = super().to_python(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from None


class TimeFilter(django_filters.IsoDateTimeFilter):
    """A time of the query string; without zone it is UTC."""

    field_class = _UtcTimeField


class TextsInput(forms.TextInput):
    """One line for all texts of a name that may come several times."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:  # noqa: ARG002
        """Return the texts that are not empty."""
        return [text for text in (data.getlist(name) if hasattr(data, "getlist") else data.get(name) or []) if text]

    def format_value(self, value: list[str] | None) -> str:
        """Return the texts as one."""
        return " and ".join(value or [])


class TextsFilter(django_filters.Filter):
    """A text that the query string may hold several times; with TextsInput its field gets all that are not empty."""


class NewestFirstOrdering(django_filters.OrderingFilter):
    """Orders by a chosen field; equal rows newest first and missing values last, the same on every database."""

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        """Order the rows; without a choice they stay as they are."""
        if not value:
            return qs
        names = [self.get_ordering_value(name) for name in value]
        columns = [(F(name.removeprefix("-")), name.startswith("-")) for name in names]
        return qs.order_by(
            *(column.desc(nulls_last=True) if down else column.asc(nulls_last=True) for column, down in columns), "-pk"
        )


def filter_names(filter_class: type[django_filters.FilterSet]) -> frozenset[str]:
    """Return the query parameters that the FilterSet knows."""
    return frozenset(filter_class.base_filters)


def apply_filter(
    filter_class: type[django_filters.FilterSet], query: Mapping[str, Any], rows: QuerySet[Row]
) -> QuerySet[Row]:
    """Return the rows that pass. Raises DRF's ValidationError (400) for values the filters do not take."""
    passed: QuerySet[Row] = checked_filter(filter_class, query, rows).qs
    return passed


def checked_filter(filter_class: type[FilterSet], query: Mapping[str, Any], rows: QuerySet[Row]) -> FilterSet:
    """Return the filter with the values it took. Raises DRF's ValidationError (400) as `apply_filter` does."""
    filtered: FilterSet = filter_class(query, queryset=rows)
    if not filtered.is_valid():
        raise exceptions.ValidationError({name: list(texts) for name, texts in filtered.errors.items()})
    return filtered


def filter_parameters(filter_class: type[django_filters.FilterSet]) -> list[OpenApiParameter]:
    """Describe the query parameters of a FilterSet."""
    return [_parameter(name, declared) for name, declared in filter_class.base_filters.items()]


def _parameter(name: str, declared: Any) -> OpenApiParameter:
    choices = declared.extra.get("choices")
    is_list = isinstance(declared, django_filters.MultipleChoiceFilter | TextsFilter)
    is_order = isinstance(declared, django_filters.OrderingFilter)
    if is_order:
        choices = [(key, "") for known in declared.param_map.values() for key in (known, f"-{known}")]
    return OpenApiParameter(
        name,
        OpenApiTypes.DATETIME if isinstance(declared, django_filters.IsoDateTimeFilter) else OpenApiTypes.STR,
        description=str(declared.extra.get("help_text") or declared.label or ""),
        enum=[str(key) for key, _ in choices] if choices else None,
        many=is_list,
    )
