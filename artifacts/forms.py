"""Forms of artifacts: tagging a checkpoint, resuming from it."""

from __future__ import annotations

from typing import Any

from django import forms

from artifacts.api.serializers import TagRequestSerializer
from artifacts.models import TagValue
from runs.api.requests import RunChangesSerializer
from trainhub.pages import JsonObjectField, ShapedForm


class TagForm(ShapedForm):
    """Marks a checkpoint."""

    shape = TagRequestSerializer

    tag = forms.ChoiceField(choices=TagValue.choices)
    notes = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}), help_text="Why.")


class ResumeForm(ShapedForm):
    """What the resumed run has otherwise than the one it continues."""

    shape = RunChangesSerializer

    name = forms.CharField(required=False, max_length=200, help_text="Empty: the name of the run and “resumed”.")
    model_parameters = JsonObjectField(
        label="Changes to model parameters", help_text="A JSON object, laid over the run's own, name by name."
    )
    hyperparameters = JsonObjectField(label="Changes to hyperparameters", help_text="The same way.")

    def body(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Leave out what changes nothing."""
        return {name: value for name, value in super().body(cleaned).items() if value != {}}
