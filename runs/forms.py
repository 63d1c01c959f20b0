"""Forms of runs: launch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from runs.api.requests import RunRequestSerializer
from runs.defaults import PROJECT, Defaults
from runs.models import Run
from runs.placement import usual_executor
from runs.recipes import PARAMETER_GROUPS, Recipe
from runs.run_form import RunForm, compute_of


class LaunchForm(RunForm):
    """What defines a new run; its recipe is chosen first, as the other fields come from it."""

    shape = RunRequestSerializer

    recipe = forms.ChoiceField(widget=forms.RadioSelect, help_text="What is executed.")

    def __init__(self, data: Any = None, *, recipes: Mapping[str, Recipe], defaults: Defaults, **options: Any) -> None:
        super().__init__(data, defaults=defaults, **options)
        self.recipes = [recipes[name] for name in sorted(recipes)]
        self.fields["recipe"].choices = [(recipe.name, recipe.title) for recipe in self.recipes]  # type: ignore[attr-defined]
        self.initial["recipe"] = defaults.recipe.name


def launch_values(defaults: Defaults, repeated: Run | None) -> dict[str, Any]:
    """Return what the launch form starts with: the definition of a run to repeat, or the project's defaults."""
    if repeated is None:
        known = defaults.sources("hyperparameters")[PROJECT]
        return {"initial": {"executor": usual_executor(defaults.project)}, "given": {"hyperparameters": known}}
    kept = ("name", "dataset", "executor", "priority", "max_restarts", "description")
    return {
        "initial": {**{name: getattr(repeated, name) for name in kept}, **compute_of(repeated.compute)},
        "given": {group: getattr(repeated, group) for group in PARAMETER_GROUPS},
    }
