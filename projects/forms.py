"""Forms of projects, members and tokens; the API's serializers check their values."""

from __future__ import annotations

from typing import Any

from django import forms

from projects.api.serializers import MemberRequestSerializer, ProjectRequestSerializer, TokenRequestSerializer
from projects.models import MAX_RETENTION_DAYS, Project, Role
from projects.services import EDITABLE_FIELDS
from trainhub.pages import JsonObjectField, ShapedForm

_SHORT_TEXT = forms.Textarea(attrs={"rows": 3})


class ProjectForm(ShapedForm):
    """The settings of a project."""

    shape = ProjectRequestSerializer

    name = forms.CharField(max_length=200)
    objective = forms.CharField(required=False, widget=_SHORT_TEXT, help_text="What the training is to reach.")
    description = forms.CharField(required=False, widget=_SHORT_TEXT)
    task_type = forms.CharField(required=False, help_text="For example pretraining, sft or dpo.")
    base_model = forms.CharField(required=False, help_text="What training starts from, such as a hub name or a path.")
    owner = forms.CharField(required=False, help_text="Free text, such as a team.")
    tags = forms.CharField(required=False, help_text="Separated by commas.")
    default_recipe = forms.CharField(
        required=False, help_text="The recipe that the launch form starts with; empty for the hub's own default."
    )
    default_hyperparameters = JsonObjectField(
        help_text="A JSON object. New runs take over what their recipe knows of it."
    )
    log_retention_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_RETENTION_DAYS,
        label="Keep logs for, in days after the end of a run",
        help_text="Empty: for ever. What is older is removed for good.",
    )
    metric_retention_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_RETENTION_DAYS,
        label="Keep metric histories for, in days after the end of a run",
        help_text="Empty: for ever. The newest values always stay.",
    )

    def body(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Return all settings, also the empty ones: the form shows every one, so an emptied field is meant."""
        tags = [tag.strip() for tag in cleaned["tags"].split(",")]
        return {**cleaned, "tags": list(filter(None, tags))}


def settings_of(project: Project) -> dict[str, Any]:
    """Return a project's settings as ProjectForm shows them."""
    values = {name: getattr(project, name) for name in EDITABLE_FIELDS}
    return {**values, "tags": ", ".join(project.tags)}


class MemberForm(ShapedForm):
    """Gives a person a role."""

    shape = MemberRequestSerializer

    username = forms.CharField(max_length=150, label="User name")
    role = forms.ChoiceField(choices=Role.choices, help_text="Viewers read; editors launch, cancel and tag; admins "
                             "also change settings and members.")  # fmt: skip


class TokenForm(ShapedForm):
    """Makes an API token."""

    shape = TokenRequestSerializer

    name = forms.CharField(max_length=100, help_text="What it is for, so that you know which one to revoke.")
    days = forms.IntegerField(min_value=1, max_value=365, initial=90, label="Valid for, in days")
