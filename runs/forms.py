"""Forms of runs: launch, and the filters of the log."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from projects.models import Project
from runner.protocol import LEVELS
from runs.api.requests import RunRequestSerializer
from runs.models import Run
from runs.registry import DEFAULT_EXECUTOR, executors, recipes
from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_search import MAX_PATTERN_CHARACTERS, Words
from trainhub.pages import JsonObjectField, ShapedForm

_COMPUTE = ("node_count", "gpus_per_node")


def _recipe_choices() -> list[tuple[str, str]]:
    return [(name, f"{recipe.title} ({name})") for name, recipe in sorted(recipes().items())]


def _executor_choices() -> list[tuple[str, str]]:
    return [(name, name) for name in sorted(executors())]


class LaunchForm(ShapedForm):
    """What defines a run."""

    shape = RunRequestSerializer

    name = forms.CharField(max_length=200)
    recipe = forms.ChoiceField(
        choices=_recipe_choices, help_text="What is executed; this page lists what each one takes."
    )
    dataset = forms.CharField(required=False, help_text="Empty for the recipe's own default.")
    model_parameters = JsonObjectField(help_text="A JSON object; what is left out has the recipe's default.")
    hyperparameters = JsonObjectField(help_text="A JSON object; the project's defaults are added.")
    executor = forms.ChoiceField(choices=_executor_choices, initial=DEFAULT_EXECUTOR, help_text="Where it runs.")
    node_count = forms.IntegerField(required=False, label="Nodes", min_value=1)
    gpus_per_node = forms.IntegerField(required=False, label="GPUs per node", min_value=0)
    max_restarts = forms.IntegerField(
        required=False,
        label="Restarts after a crash",
        min_value=0,
        max_value=100,
        help_text="From the newest checkpoint; empty for the recipe's default.",
    )
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def body(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Return the API's body: what is asked of the machine goes into `compute`."""
        given = super().body(cleaned)
        compute = {name: given.pop(name) for name in _COMPUTE if name in given}
        kept = {name: value for name, value in self.initial.get("compute", {}).items() if name not in _COMPUTE}
        return {**given, "compute": {**kept, **compute}}


def launch_values(project: Project, repeated: Run | None) -> dict[str, Any]:
    """Return what the launch form starts with: the definition of a run to repeat, or the project's defaults."""
    if repeated is None:
        return {"recipe": project.default_recipe or settings.DEFAULT_RECIPE}
    kept = ("name", "recipe", "dataset", "model_parameters", "hyperparameters", "executor", "max_restarts",
            "description")  # fmt: skip
    known = {name: getattr(repeated, name) for name in kept}
    return {**known, "compute": repeated.compute, **{name: repeated.compute.get(name) for name in _COMPUTE}}


class LogFilterForm(forms.Form):
    """Which lines of a log to show."""

    level = forms.MultipleChoiceField(
        required=False, choices=[(level, level) for level in LEVELS], widget=forms.CheckboxSelectMultiple
    )
    contains = forms.CharField(required=False, max_length=MAX_PATTERN_CHARACTERS, strip=False, label="Contains")

    @property
    def wanted(self) -> LineFilter:
        """Return the kinds of lines asked for."""
        return LineFilter.of(levels=self.cleaned_data["level"] or None)

    @property
    def words(self) -> Words | None:
        """Return the words to look for, None without any."""
        return Words.of(self.cleaned_data["contains"]) if self.cleaned_data["contains"] else None
