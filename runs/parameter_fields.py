"""Form fields made from the properties of a recipe's JSON Schema, one for each parameter.

They turn text into a value of the right type and back. Ranges and patterns are shown here and checked by the schema
itself when the run is prepared, so that the form and the API refuse the same things with the same words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import orjson
from django import forms

from trainhub.api.parsers import check_json
from trainhub.api.renderers import dump_json
from trainhub.errors import MalformedBody

LEFT_OUT = object()  # the value of an empty field
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
MAX_WHOLE = 2**63 - 1  # larger ones lose digits on their way through JSON and databases
_LINES = {"rows": 2, "spellcheck": "false", "class": "code"}


def text_of(value: Any) -> str:
    """Return a value as one types it: texts as they are, all else as JSON."""
    return value if isinstance(value, str) else dump_json(value).decode()


class ParameterField(forms.Field):
    """A parameter. `to_python` returns LEFT_OUT for an empty field, which stands for the default.

    The template shows `name` beside the label; a script finds what an empty field stands for in the control.
    """

    default_widget: type[forms.Widget] = forms.TextInput

    def __init__(self, name: str, rule: Mapping[str, Any], *, sources: Mapping[str, Any], is_required: bool) -> None:
        self.name, self.rule = name, rule
        super().__init__(
            required=is_required and not sources,
            label=str(rule.get("title") or name),
            help_text=" ".join(filter(None, [str(rule.get("description", "")), self.range_text()])),
            widget=self.make_widget(sources),
            template_name="runs/_parameter_field.html",
        )
        # Beside what the API calls this parameter, as JSON: what the sources of defaults have for it.
        self.widget.attrs["data-parameter"] = name
        for source, value in sources.items():
            self.widget.attrs[f"data-{source}"] = dump_json(value).decode()

    def make_widget(self, sources: Mapping[str, Any]) -> forms.Widget:
        """Return the control, with the default as its placeholder."""
        return self.default_widget(attrs={"placeholder": placeholder(sources), "autocomplete": "off", **self.attrs()})

    def attrs(self) -> dict[str, Any]:
        """Return more attributes of the control."""
        return {"spellcheck": "false"}

    def range_text(self) -> str:
        """Return what the value may be, as a sentence; empty when anything goes."""
        return ""

    def clean(self, value: Any) -> Any:
        """Return the value, LEFT_OUT for none. Raises: ValidationError."""
        text = (value or "").strip()
        if not text:
            if self.required:
                raise forms.ValidationError(self.error_messages["required"], code="required")
            return LEFT_OUT
        return self.read(text)

    def read(self, text: str) -> Any:
        """Return the value of a text that is not empty. Raises: ValidationError."""
        raise NotImplementedError

    def write(self, value: Any) -> str:
        """Return the text of a value."""
        return text_of(value)


def placeholder(sources: Mapping[str, Any]) -> str:
    """Say what an empty field stands for: `default 0.0003`, `project 0.0005`, `as before 0.001`."""
    for source, value in sources.items():
        text = text_of(value)
        words = {"before": "as before", "project": "project"}.get(source, "default")
        return f"{words} {text if len(text) <= 60 else text[:60] + '…'}"
    return ""


class NumberParameter(ParameterField):
    """A number, also as 1e-4; text, as browsers' number controls refuse what their language writes otherwise."""

    def attrs(self) -> dict[str, Any]:
        """Ask for a keyboard with digits."""
        return {"inputmode": "decimal"}

    def range_text(self) -> str:
        """Return the range as a sentence."""
        return range_sentence(self.rule)

    def read(self, text: str) -> Any:
        """Return an int where no point and no exponent is written, else a float."""
        if _WHOLE.fullmatch(text):
            return _bounded(int(text))
        number = float(text) if len(text) <= 100 and _NUMBER.fullmatch(text) else math.inf
        if not math.isfinite(number):
            raise forms.ValidationError("Enter a number, such as 0.0003 or 3e-4.")
        return number


class WholeParameter(ParameterField):
    """A whole number."""

    default_widget = forms.NumberInput

    def attrs(self) -> dict[str, Any]:
        """Let the browser check the range too."""
        bounds = {"min": _lowest(self.rule), "max": _highest(self.rule)}
        return {name: bound for name, bound in bounds.items() if isinstance(bound, int)}

    def range_text(self) -> str:
        """Return the range as a sentence."""
        return range_sentence(self.rule)

    def read(self, text: str) -> int:
        """Return the number, also of 1e6 and 10.0."""
        if _WHOLE.fullmatch(text):
            return _bounded(int(text))
        number = float(text) if len(text) <= 100 and _NUMBER.fullmatch(text) else math.inf
        if not number.is_integer():
            raise forms.ValidationError("Enter a whole number.")
        return _bounded(int(number))


class TextParameter(ParameterField):
    """A text; several lines where the default has some."""

    def make_widget(self, sources: Mapping[str, Any]) -> forms.Widget:
        """Return one line, or more where a value would lose its line breaks in one."""
        if any("\n" in str(value) for value in sources.values()) or self.rule.get("maxLength", 0) > 500:
            return forms.Textarea(attrs={"placeholder": placeholder(sources), "rows": 3})
        return super().make_widget(sources)

    def read(self, text: str) -> str:
        """Return the text, which databases can store."""
        if "\0" in text:
            raise forms.ValidationError("A text cannot hold a NUL character.")
        return text.replace("\r\n", "\n")


class ChoiceParameter(ParameterField):
    """One of a few values, or the default."""

    def make_widget(self, sources: Mapping[str, Any]) -> forms.Widget:
        """Return a list whose first entry leaves the default."""
        choices = [(text, text) for text in self.texts()]
        return forms.Select(choices=[("", placeholder(sources) or "–"), *choices])

    def texts(self) -> dict[str, Any]:
        """Return the values by what is shown of them; as JSON where texts and other values look alike."""
        values = [True, False] if self.rule.get("type") == "boolean" else list(self.rule["enum"])
        plain = {text_of(value): value for value in values}
        return plain if len(plain) == len(values) else {dump_json(value).decode(): value for value in values}

    def read(self, text: str) -> Any:
        """Return the chosen value."""
        try:
            return self.texts()[text]
        except KeyError:
            raise forms.ValidationError("Choose one of the list.") from None

    def write(self, value: Any) -> str:
        """Return the entry of a value; of one that is not in the list, its text."""
        found = (text for text, known in self.texts().items() if known == value and type(known) is type(value))
        return next(found, text_of(value))


class JsonParameter(ParameterField):
    """A list, an object, or whatever a schema takes that has no control of its own: JSON text."""

    def make_widget(self, sources: Mapping[str, Any]) -> forms.Widget:
        """Return a small area for code."""
        return forms.Textarea(attrs={"placeholder": placeholder(sources), "data-json": "", **_LINES})

    def range_text(self) -> str:
        """Say how it is written."""
        kinds = {"array": "A JSON list, such as [1, 2].", "object": "A JSON object, such as {}."}
        return kinds.get(str(self.rule.get("type")), "Written as JSON.")

    def read(self, text: str) -> Any:
        """Return the value, read as strictly as the API reads bodies."""
        try:
            value = orjson.loads(text)
            check_json(value)
        except (orjson.JSONDecodeError, UnicodeEncodeError) as error:
            raise forms.ValidationError(f"This is not valid JSON: {error}.") from None
        except MalformedBody:
            raise forms.ValidationError("This holds a NUL character or is nested too deeply.") from None
        return value

    def write(self, value: Any) -> str:
        """Return the JSON text."""
        return dump_json(value).decode()


_KINDS: dict[str, type[ParameterField]] = {
    "integer": WholeParameter,
    "number": NumberParameter,
    "string": TextParameter,
    "boolean": ChoiceParameter,
}


def parameter_fields(schema: Mapping[str, Any], sources: Mapping[str, Mapping[str, Any]]) -> dict[str, ParameterField]:
    """Return a field for each property of a group's schema; `sources` are the defaults by source, nearest first."""
    required = schema.get("required", [])
    fields = {}
    for name, rule in schema.get("properties", {}).items():
        if rule is False:  # the schema takes no value at all
            continue
        known = {source: values[name] for source, values in sources.items() if name in values}
        described = rule if isinstance(rule, dict) else {}
        kind = ChoiceParameter if "enum" in described else _KINDS.get(str(described.get("type")), JsonParameter)
        fields[name] = kind(name, described, sources=known, is_required=name in required)
    return fields


def takes_others(schema: Mapping[str, Any]) -> bool:
    """Tell whether a group takes parameters that its schema does not name."""
    return schema.get("additionalProperties", True) is not False or "patternProperties" in schema


def range_sentence(rule: Mapping[str, Any]) -> str:
    """Return a range in words: `From 1 to 12.`, `Above 0, at most 1.`, `At least 8, in steps of 8.`."""
    low, high = rule.get("minimum"), rule.get("maximum")
    is_both = low is not None and high is not None
    bounds = {
        "above": rule.get("exclusiveMinimum"),
        "at least": None if is_both else low,
        "below": rule.get("exclusiveMaximum"),
        "at most": None if is_both else high,
        "in steps of": rule.get("multipleOf"),
    }
    parts = [f"{word} {_shown(bound)}" for word, bound in bounds.items() if bound is not None]
    text = ", ".join([f"from {_shown(low)} to {_shown(high)}", *parts] if is_both else parts)
    return f"{text.capitalize()}." if text else ""


def _shown(bound: Any) -> str:
    return f"{bound:,}" if isinstance(bound, int) else text_of(bound)


def _lowest(rule: Mapping[str, Any]) -> Any:
    above = rule.get("exclusiveMinimum")
    return above + 1 if isinstance(above, int) else rule.get("minimum")


def _highest(rule: Mapping[str, Any]) -> Any:
    below = rule.get("exclusiveMaximum")
    return below - 1 if isinstance(below, int) else rule.get("maximum")


def _bounded(number: int) -> int:
    if abs(number) > MAX_WHOLE:
        raise forms.ValidationError(f"At most {MAX_WHOLE:,} is taken.")
    return number
