"""Forms of projects, members and tokens; the API's serializers check their values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from django import forms
from django.forms import BoundField

from projects.api.serializers import (
    CheckpointRuleSerializer,
    MemberRequestSerializer,
    ProjectRequestSerializer,
    TokenRequestSerializer,
)
from projects.models import MAX_KEPT_CHECKPOINTS, MAX_LIMIT, MAX_RETENTION_DAYS, MetricGoal, Project, Role
from projects.offered import executor_choices, recipe_choices
from projects.services import EDITABLE_FIELDS, LIMITS
from trainhub.pages import JsonObjectField, ShapedForm

_SHORT_TEXT = forms.Textarea(attrs={"rows": 3})


class CheckpointRuleForm(ShapedForm):
    """Which checkpoints the runs of a project keep once they have ended."""

    shape = CheckpointRuleSerializer

    keep_last_checkpoints = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_KEPT_CHECKPOINTS,
        label="Newest checkpoints to keep",
        help_text="Of each run, an hour after its end. Empty: all. The bytes of others are removed for good.",
    )
    keep_best_checkpoints = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=MAX_KEPT_CHECKPOINTS,
        initial=0,
        label="Best checkpoints to keep besides",
    )
    best_metric = forms.CharField(
        required=False, max_length=250, label="Metric of the best", help_text="For example eval_loss."
    )
    best_metric_goal = forms.ChoiceField(
        required=False,
        choices=[(MetricGoal.MINIMUM, "lower is better"), (MetricGoal.MAXIMUM, "higher is better")],
        initial=MetricGoal.MINIMUM,
        label="Good values of it",
    )

    def body(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Return all of the rule, also what is empty: no number of the newest keeps all."""
        return {
            "keep_last_checkpoints": cleaned["keep_last_checkpoints"],
            "keep_best_checkpoints": cleaned["keep_best_checkpoints"] or 0,
            "best_metric": cleaned["best_metric"],
            "best_metric_goal": cleaned["best_metric_goal"] or MetricGoal.MINIMUM,
        }


class ProjectForm(CheckpointRuleForm):
    """The settings of a project."""

    shape = ProjectRequestSerializer

    sections: ClassVar = (
        ("What it is", "", ("name", "objective", "description", "owner", "tags")),
        (
            "Model and defaults",
            "New runs begin with these; whoever launches one can change them.",
            ("task_type", "base_model", "default_recipe", "default_executor", "default_hyperparameters"),
        ),
        (
            "What it may use at once",
            "Set by the hub's operators. A run over a limit waits and holds up no other project.",
            LIMITS,
        ),
        (
            "How long things are kept",
            "Runs and their newest values always stay. So do checkpoints that are tagged, registered or resumed from.",
            (
                *("log_retention_days", "metric_retention_days"),
                *("keep_last_checkpoints", "keep_best_checkpoints", "best_metric", "best_metric_goal"),
            ),
        ),
    )

    name = forms.CharField(max_length=200)
    objective = forms.CharField(required=False, widget=_SHORT_TEXT, help_text="What the training is to reach.")
    description = forms.CharField(required=False, widget=_SHORT_TEXT, help_text="What others should know of it.")
    task_type = forms.CharField(required=False, help_text="For example pretraining, sft or dpo.")
    base_model = forms.CharField(required=False, help_text="What training starts from, such as a hub name or a path.")
    owner = forms.CharField(required=False, help_text="Free text, such as a team.")
    tags = forms.CharField(required=False, help_text="Separated by commas.")
    default_recipe = forms.ChoiceField(required=False, help_text="What the launch form starts with.")
    default_executor = forms.ChoiceField(required=False, help_text="Where runs go that name none.")
    max_running_runs = forms.IntegerField(
        required=False, min_value=0, max_value=MAX_LIMIT, label="Runs at once", help_text="Empty: as many as fit."
    )
    max_gpus = forms.IntegerField(
        required=False, min_value=0, max_value=MAX_LIMIT, label="GPUs at once", help_text="Empty: as many as there are."
    )
    default_hyperparameters = JsonObjectField(
        help_text="A JSON object. New runs take over what their recipe knows of it."
    )
    log_retention_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_RETENTION_DAYS,
        label="Days to keep logs",
        help_text="After the end of a run. Empty: for ever. What is older is removed for good.",
    )
    metric_retention_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_RETENTION_DAYS,
        label="Days to keep metric histories",
        help_text="After the end of a run. Empty: for ever.",
    )

    def __init__(self, *args: Any, sets_limits: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, choices in (("default_recipe", recipe_choices), ("default_executor", executor_choices)):
            self.fields[name].choices = choices(current=self.initial.get(name, ""))  # type: ignore[attr-defined]
        for name in LIMITS:
            self.fields[name].disabled = not sets_limits

    def fields_by_section(self) -> Iterator[tuple[str, str, list[BoundField]]]:
        """Yield title, a sentence and the fields of each section."""
        for title, sentence, names in self.sections:
            yield title, sentence, [self[name] for name in names]

    def body(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Return all settings, also the empty ones: the form shows every one, so an emptied field is meant."""
        tags = [tag.strip() for tag in cleaned["tags"].split(",")]
        return {**cleaned, **super().body(cleaned), "tags": list(filter(None, tags))}


def settings_of(project: Project) -> dict[str, Any]:
    """Return a project's settings as ProjectForm shows them."""
    values = {name: getattr(project, name) for name in EDITABLE_FIELDS}
    return {**values, "tags": ", ".join(project.tags)}


class MemberForm(ShapedForm):
    """Gives a person a role."""

    shape = MemberRequestSerializer

    username = forms.CharField(
        max_length=150, label="User name", help_text="An account on this hub; its operator makes new ones."
    )
    role = forms.ChoiceField(choices=Role.choices)


class TokenForm(ShapedForm):
    """Makes an API token."""

    shape = TokenRequestSerializer

    name = forms.CharField(max_length=100, help_text="What it is for, so that you know which one to revoke.")
    days = forms.IntegerField(min_value=1, max_value=365, initial=90, label="Valid for, in days")
