"""How the page of a run writes its numbers."""

from __future__ import annotations

from typing import Any

import orjson
from django import template

from runs.differences import MISSING
from runs.failures import CAUSES, describe_ending
from runs.lifecycle import OUTCOMES, Reason, Status
from runs.models import Attempt, Run
from runs.tracking.reading import Text
from trainhub.api.renderers import dump_json

register = template.Library()
MAX_OPEN = 120  # characters of a text that is shown without a click
MAX_SUMMARY = 80  # characters of a longer one


@register.filter
def plain_value(value: Any) -> str:
    """Return a parameter's value: a text as it is, what is missing as a dash, anything else as JSON on one line."""
    if value is MISSING:
        return "–"
    return str(value) if isinstance(value, str | Text) else dump_json(value).decode()


@register.filter
def attempts_told(run: Run) -> list[tuple[Attempt, str, str, str]]:
    """Return the attempts, newest first: with how the process ended, why in a sentence, and the cause of a failure."""
    return [
        (attempt, describe_ending(attempt), *_why(attempt.reason))
        for attempt in sorted(run.attempts.all(), key=lambda attempt: -attempt.number)
    ]


def _why(reason: str) -> tuple[str, str]:
    if not reason:
        return "", ""
    outcome = OUTCOMES[Reason(reason)]
    return outcome.text, CAUSES[outcome.category] if outcome.status == Status.FAILED else ""


@register.filter
def full_length(value: Any) -> int:
    """Return how many characters a value has, also where it is cut."""
    return value.length if isinstance(value, Text) else len(plain_value(value))


@register.filter
def is_folded(text: str) -> bool:
    """Tell whether a text that somebody wrote is folded until a reader opens it."""
    return len(text) > MAX_OPEN or "\n" in text


@register.filter
def beginning(text: str) -> str:
    """Return the beginning of a folded text, on one line."""
    start = " ".join(text[:MAX_OPEN].split())
    return start if len(start) <= MAX_SUMMARY else f"{start[:MAX_SUMMARY]}…"


@register.filter
def json_lines(text: Text) -> str:
    """Return JSON that a client sent, indented; as it came where it is none, or was cut."""
    try:
        return dump_json(orjson.loads(text.shown), indent=True).decode()
    except (ValueError, RecursionError):
        return str(text)
