"""Forms of artifacts: tagging a checkpoint, resuming from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from artifacts.api.serializers import TagRequestSerializer
from artifacts.models import Artifact, TagValue
from artifacts.services import resumed_name
from runs.api.requests import RunChangesSerializer
from runs.defaults import Defaults
from runs.forms import launch_values
from runs.models import Run
from runs.placement import without_choices
from runs.recipes import PARAMETER_GROUPS, Recipe
from runs.run_form import RunForm, compute_of
from trainhub.pages import ShapedForm


class TagForm(ShapedForm):
    """Marks a checkpoint."""

    shape = TagRequestSerializer

    tag = forms.ChoiceField(choices=TagValue.choices)
    notes = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "maxlength": 10_000}),
        help_text="Why: what was measured, where it is used. A release needs them.",
    )

    def clean(self) -> dict[str, Any]:
        """Ask why a checkpoint is released; programs, which tag by the API, need not say so."""
        cleaned = super().clean()
        if cleaned.get("tag") == TagValue.RELEASE and not cleaned.get("notes", "").strip():
            self.add_error("notes", "Say why this checkpoint is released.")
        return cleaned


class ResumeForm(RunForm):
    """What the resumed run has otherwise than the one it continues; an empty field leaves it as it was.

    An external run has no recipe: one of `recipes` is chosen, and empty fields stand for its defaults.
    """

    shape = RunChangesSerializer

    name = forms.CharField(required=False, max_length=200, help_text="Empty: the name of the run and “resumed”.")

    def __init__(
        self,
        data: Any = None,
        *,
        checkpoint: Artifact,
        recipe: Recipe,
        recipes: Mapping[str, Recipe] | None = None,
        typed: Mapping[str, str] | None = None,
    ) -> None:
        self.run = run = checkpoint.run
        defaults = Defaults(recipe, run.project, before=run if run.is_managed else None)
        super().__init__(data, defaults=defaults, typed=typed, **_start_values(run, defaults))
        self.fields["executor"].required = False
        if not run.is_managed:
            self.recipes = [usable for _, usable in sorted((recipes or {}).items())]
            choices = [(usable.name, usable.title) for usable in self.recipes]
            self.fields["recipe"] = forms.ChoiceField(choices=choices, widget=forms.RadioSelect)
            self.initial["recipe"] = recipe.name

    def placeholders(self, recipe: Recipe) -> dict[str, str]:
        """Return what the run had."""
        run = self.run
        if not run.is_managed:
            return {**super().placeholders(recipe), "name": resumed_name(run)}
        had = {"dataset": run.dataset, "priority": run.priority, "max_restarts": run.max_restarts, **run.compute}
        known = {name: f"as before {value}" for name, value in had.items() if name in self.fields and value != ""}
        return {**super().placeholders(recipe), **known, "name": resumed_name(run)}

    def body(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Keep of what was asked of the machine what is left empty, as all else that is."""
        given = super().body(cleaned)
        had = self.run.compute if given.get("executor", self.run.executor) == self.run.executor else {}
        return {**given, "compute": {**(had or without_choices(self.run.compute)), **given["compute"]}}


def _start_values(run: Run, defaults: Defaults) -> dict[str, Any]:
    """Return what the form starts with: what the run had, or for an external one the project's defaults."""
    if not run.is_managed:
        return launch_values(defaults, None)
    kept = ("description", "dataset", "executor", "priority", "max_restarts")
    return {
        "initial": {**{name: getattr(run, name) for name in kept}, **compute_of(run.compute)},
        "given": {group: getattr(run, group) for group in PARAMETER_GROUPS},
    }
