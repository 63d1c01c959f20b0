"""Serializers that refuse what they do not know."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from trainhub.api.renderers import api_time

MAX_JSON_KEYS = 500
MAX_JSON_TEXT = 10_000  # characters


class StrictSerializer(serializers.Serializer[Any]):
    """A request body: unknown fields are errors, so that a misspelt option is not silently ignored."""

    def to_internal_value(self, data: Any) -> Any:
        """Check the names before the values."""
        if not isinstance(data, dict):
            raise serializers.ValidationError({"non_field_errors": ["The body must be a JSON object."]})
        unknown = sorted(set(data) - set(self.fields))
        if unknown:
            raise serializers.ValidationError({name[:100]: ["This field is not known."] for name in unknown[:20]})
        return super().to_internal_value(data)


class UtcTimeField(serializers.DateTimeField):
    """A time in answers: ISO 8601, UTC, microseconds, Z."""

    def to_representation(self, value: Any) -> str:
        """Return the text. DRF does not ask for None."""
        return api_time(value) or ""


class ParametersField(serializers.DictField):
    """A JSON object of parameters by name; the recipe's schema says what each may be."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Bound what is kept: few enough keys and no endless texts."""
        if not isinstance(data, dict):
            raise serializers.ValidationError("This must be a JSON object.")
        if len(data) > MAX_JSON_KEYS:
            raise serializers.ValidationError(f"At most {MAX_JSON_KEYS} entries are taken.")
        for name, value in data.items():
            if not name or len(name) > 250:
                raise serializers.ValidationError("Names must have 1 to 250 characters.")
            if len(str(value)) > MAX_JSON_TEXT:
                raise serializers.ValidationError(f"{name}: longer than {MAX_JSON_TEXT} characters.")
        return data

    def to_representation(self, value: Any) -> Any:
        """Return the object as stored."""
        return value
