"""The form of a log: which lines to show, what to look for, where to go."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms

from runner.protocol import LEVELS, STREAMS
from runs.api.times import read_time
from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_search import MAX_PATTERN_CHARACTERS, ExactWords, Finder, PatternError, Regex, Words
from trainhub.errors import InvalidInput

MAX_LINE = 2**53


def _boxes(names: tuple[str, ...]) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        required=False, choices=[(name, name) for name in names], widget=forms.CheckboxSelectMultiple
    )


class LogFilterForm(forms.Form):
    """What the query string of a log's page says, but for the page's number; `finder` is what is looked for."""

    finder: Finder | None = None

    level = _boxes(LEVELS)
    stream = _boxes(STREAMS)
    attempt = forms.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    # Named q: a control named `contains` would hide the method of the form element in scripts.
    q = forms.CharField(required=False, max_length=MAX_PATTERN_CHARACTERS, strip=False, label="Search")
    regex = forms.BooleanField(required=False, label="Regular expression")
    case = forms.BooleanField(required=False, label="Match case")
    show = forms.ChoiceField(
        required=False, choices=[("matches", "Only matching lines"), ("context", "Matches among all lines")]
    )
    find = forms.ChoiceField(required=False, choices=[("next", "Next"), ("previous", "Previous")])
    line = forms.IntegerField(required=False, min_value=0, max_value=MAX_LINE)
    time = forms.CharField(required=False)
    wrap = forms.ChoiceField(required=False, choices=[("on", "On"), ("off", "Off")])

    def clean_time(self) -> int | None:
        """Read a time as the API does: µs since 1970, UTC without a zone."""
        text = self.cleaned_data["time"]
        try:
            return read_time({"time": text}, "time") if text else None
        except InvalidInput:
            raise forms.ValidationError("Must be a time such as 2024-01-02T10:00:00, in UTC.") from None

    def clean(self) -> dict[str, Any]:
        """Compile the search, so that a bad expression is refused here."""
        try:
            self.finder = self._read_finder()
        except PatternError as error:
            self.add_error("q", f"This is no regular expression of RE2: {error}.")
        return self.cleaned_data

    def _read_finder(self) -> Finder | None:
        given = self.cleaned_data
        text = given.get("q")
        if not text:
            return None
        if given["regex"]:
            return Regex(text, ignore_case=not given["case"])
        return ExactWords.of(text) if given["case"] else Words.of(text)

    @property
    def wanted(self) -> LineFilter:
        """The kinds of lines asked for."""
        given = self.cleaned_data
        return LineFilter.of(
            levels=given["level"] or None, streams=given["stream"] or None, attempt=given["attempt"] or None
        )

    @property
    def is_list_of_matches(self) -> bool:
        """Whether only lines that match the search are shown."""
        return self.finder is not None and self.cleaned_data.get("show") != "context"

    @property
    def is_wrapped(self) -> bool:
        """Whether long lines are broken; also when the rest of the form is not understood."""
        return self.data.get("wrap") != "off"

    @property
    def download_query(self) -> str:
        """The lines that are shown as a query of the API's download; empty when it cannot say it or they are all."""
        given = {name: self.cleaned_data.get(name) for name in ("level", "stream", "attempt")}
        given["contains"] = self.cleaned_data.get("q")
        if self.finder is not None and not (self.is_list_of_matches and isinstance(self.finder, Words)):
            return ""
        return urlencode({name: value for name, value in given.items() if value}, doseq=True)
