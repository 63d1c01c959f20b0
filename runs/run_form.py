"""The form that defines a run, made from its recipe's schema; launching and resuming share it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.boundfield import BoundField

from runs.api.requests import MAX_GPUS, MAX_MINUTES, MAX_NODES
from runs.defaults import Defaults, Difference, Given
from runs.executors.base import Executor
from runs.parameter_fields import LEFT_OUT, ParameterField, parameter_fields, takes_others
from runs.placement import CHOICES, least_minutes, suitable
from runs.recipes import PARAMETER_GROUPS, ParametersRefused, Recipe
from trainhub.api.idempotency import FORM_KEY
from trainhub.api.renderers import dump_json
from trainhub.errors import Conflict, InvalidInput
from trainhub.pages import JsonObjectField, ShapedForm

COMPUTE = ("node_count", "gpus_per_node", "gpu_type", "time_limit_minutes", *CHOICES)
_TITLES = {"model_parameters": "Model parameters", "hyperparameters": "Hyperparameters"}


# Another executor lets people choose other things: the form is loaded anew with what was typed.
_RELOADS = {"hx-post": "", "hx-target": "#run-form", "hx-swap": "outerHTML", "hx-vals": '{"choose": "yes"}'}


@dataclass(frozen=True)
class Group:
    """A group of parameters on the page; `other` takes those that the schema does not name."""

    title: str
    fields: list[BoundField]
    other: BoundField | None


class RunForm(ShapedForm):
    """What defines a run. The field of a parameter is named as errors name it, `hyperparameters.learning_rate`.

    An empty parameter is left to its default. `given` are values to start with; `typed` the texts of a form for another
    recipe, of which those that this recipe knows are kept. `dropped` holds values that this recipe does not take.
    """

    once = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    name = forms.CharField(max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    dataset = forms.CharField(required=False)
    executor = forms.ChoiceField(help_text="Where it runs.", widget=forms.Select(attrs=_RELOADS))
    node_count = forms.IntegerField(required=False, label="Nodes", min_value=1, max_value=MAX_NODES)
    gpus_per_node = forms.IntegerField(required=False, label="GPUs per node", min_value=0, max_value=MAX_GPUS)
    gpu_type = forms.CharField(required=False, label="GPU type", max_length=100, help_text="Recorded with the run.")
    priority = forms.IntegerField(
        required=False, min_value=-100, max_value=100, help_text="From -100 to 100; higher starts first."
    )
    max_restarts = forms.IntegerField(
        required=False,
        label="Restarts after a crash",
        min_value=0,
        max_value=100,
        help_text="Each from the newest checkpoint.",
    )

    about_names = ("name", "description", "dataset")

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        defaults: Defaults,
        initial: Mapping[str, Any],
        given: Given,
        typed: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(data, initial={FORM_KEY: secrets.token_urlsafe(16), **initial})
        self.defaults = defaults
        self.dropped: dict[str, Any] = {}
        for group in PARAMETER_GROUPS:
            self._add_group(group, given.get(group, {}))
        self._suit(defaults.recipe, wanted=(data or typed or self.initial).get("executor") or self.initial["executor"])
        self.initial.update({name: text for name, text in (typed or {}).items() if name in self.fields})

    def _add_group(self, group: str, given: Mapping[str, Any]) -> None:
        schema = getattr(self.defaults.recipe, group)
        fields = parameter_fields(schema, self.defaults.sources(group))
        for name, field in fields.items():
            self.fields[f"{group}.{name}"] = field
            if name in given:
                self.initial[f"{group}.{name}"] = field.write(given[name])
        others = {name: value for name, value in given.items() if name not in fields}
        if takes_others(schema):
            self.fields[group] = _others_field(group, self.defaults, described=set(fields))
            self.initial[group] = others
        else:
            self.dropped.update(others)

    def _suit(self, recipe: Recipe, *, wanted: str) -> None:
        """Offer what suits the recipe and what the executor lets people choose; say what empty fields stand for."""
        offered = suitable(recipe)
        self.fields["executor"].choices = [(other.name, _title_of(other)) for other in offered]  # type: ignore[attr-defined]
        executor = next((other for other in offered if other.name == wanted), offered[0] if offered else None)
        if executor is not None:
            self._offer_choices(executor, recipe)
        for name, text in self.placeholders(recipe).items():
            if not isinstance(self.fields[name].widget, forms.Select):
                self.fields[name].widget.attrs["placeholder"] = text

    def _offer_choices(self, executor: Executor, recipe: Recipe) -> None:
        """Add a field for each thing that can be chosen on the executor, and bound the time."""
        for choice in executor.choices(recipe.name):
            if len(choice.values) > 1:
                nothing = ("", f"default {choice.default}" if choice.default else "default")
                values = [nothing, *((value, value) for value in choice.values)]
                self.fields[choice.name] = forms.ChoiceField(required=False, label=choice.title, choices=values)
        longest = executor.max_time_limit_minutes(recipe.name) or MAX_MINUTES
        self.fields["time_limit_minutes"] = forms.IntegerField(
            required=False,
            label="Time limit, in minutes",
            min_value=1,
            max_value=longest,
            help_text=f"It is then told to save, and ended. At least {least_minutes(recipe, executor)}.",
        )

    def placeholders(self, recipe: Recipe) -> dict[str, str]:
        """Return what the empty fields beside the parameters stand for."""
        dataset = {"dataset": f"default {recipe.default_dataset}"} if recipe.default_dataset else {}
        machine = {"node_count": "default 1", "gpus_per_node": "default 0", "priority": "default 0"}
        return {**dataset, **machine, "max_restarts": f"default {recipe.max_restarts}"}

    @property
    def groups(self) -> list[Group]:
        """The parameters for the page, by group."""
        return [
            Group(
                _TITLES[group],
                [self[name] for name in self.fields if name.startswith(f"{group}.")],
                self[group] if group in self.fields else None,
            )
            for group in PARAMETER_GROUPS
        ]

    @property
    def about(self) -> list[BoundField]:
        """The fields that say what the run is."""
        return [self[name] for name in self.about_names]

    @property
    def machine(self) -> list[BoundField]:
        """The fields that say where and when it runs."""
        names = ("executor", *COMPUTE, "priority", "max_restarts")
        return [self[name] for name in names if name in self.fields]

    def given(self) -> dict[str, dict[str, Any]]:
        """Return the parameters that are filled in, by group; what cannot be read is left out."""
        found: dict[str, dict[str, Any]] = {}
        for group in PARAMETER_GROUPS:
            read = {name: self._read(f"{group}.{name}") for name in self._names(group)}
            others = self._read(group) if group in self.fields else {}
            found[group] = {
                **(others if isinstance(others, dict) else {}),
                **{name: value for name, value in read.items() if value is not LEFT_OUT},
            }
        return found

    @property
    def differences(self) -> list[Difference]:
        """What is filled in and not as it would be by itself."""
        return self.defaults.differences(self.given())

    def clean(self) -> dict[str, Any]:
        """Refuse a parameter among the others that has a field of its own, then check as the API does."""
        for group in PARAMETER_GROUPS:
            twice = sorted(set(self.cleaned_data.get(group) or {}) & set(self._names(group)))
            if twice:
                self.add_error(group, f"{', '.join(twice)}: this has a field of its own.")
        return super().clean()

    def body(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Return the API's body: parameters by group, and what is asked of the machine in `compute`."""
        plain = {name: value for name, value in cleaned.items() if not isinstance(self.fields[name], ParameterField)}
        given = super().body({name: value for name, value in plain.items() if name != FORM_KEY})
        for group in PARAMETER_GROUPS:
            typed = {name: cleaned[f"{group}.{name}"] for name in self._names(group)}
            kept = {name: value for name, value in typed.items() if value is not LEFT_OUT}
            given[group] = {**given.get(group, {}), **kept}
        compute = {name: given.pop(name) for name in COMPUTE if name in given}
        return {**given, "compute": compute}

    def refuse(self, error: InvalidInput | Conflict) -> None:
        """Show why the service refused, each sentence beside its own field."""
        if not isinstance(error, ParametersRefused):
            super().refuse(error)
            return
        for group, name, sentence in error.problems:
            self.add_error(*self._place(group, name, sentence))

    def _place(self, group: str, name: str, sentence: str) -> tuple[str | None, str]:
        if group == "compute" and name in self.fields:
            return name, sentence
        if f"{group}.{name}" in self.fields:
            return f"{group}.{name}", sentence
        sentence = f"{name}: {sentence}" if name else sentence
        outer = f"{group}.{name.partition('.')[0]}"
        return next((field for field in (outer, group) if field in self.fields), None), sentence

    def _names(self, group: str) -> list[str]:
        return [name.removeprefix(f"{group}.") for name in self.fields if name.startswith(f"{group}.")]

    def _read(self, name: str) -> Any:
        bound = self[name]
        try:
            return bound.field.clean(self._text(bound))
        except forms.ValidationError:
            return LEFT_OUT

    def _text(self, bound: BoundField) -> Any:
        value = bound.value()
        return value if value is None else str(value)


def _others_field(group: str, defaults: Defaults, *, described: set[str]) -> JsonObjectField:
    """Return the field of the parameters that the schema does not name, with what a script needs to compare them."""
    field = JsonObjectField(
        label=f"Other {_TITLES[group].lower()}",
        help_text="A JSON object of parameters that the recipe takes without describing them.",
    )
    field.widget.attrs |= {"rows": 3, "data-others": ""}
    for source, values in defaults.sources(group).items():
        others = {name: value for name, value in values.items() if name not in described}
        field.widget.attrs[f"data-{source}"] = dump_json(others).decode()
    return field


def _title_of(executor: Executor) -> str:
    return executor.name if executor.name == executor.kind else f"{executor.name} ({executor.kind})"


def compute_of(compute: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form starts with for what a run asked of the machine."""
    return {name: compute.get(name) for name in COMPUTE}
