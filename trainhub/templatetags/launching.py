"""How the form that defines a run writes values, sources of defaults and checkpoints."""

from __future__ import annotations

from typing import Any

from django import template

from runs.parameter_fields import text_of
from runs.plan import ExpectedCheckpoints

register = template.Library()
_SOURCES = {"before": "before", "recipe": "recipe default", "project": "project"}
MAX_SHOWN = 200  # characters of a value in a list; the field shows all of it


@register.filter
def typed(value: Any) -> str:
    """Return a value as one types it; a long one is cut."""
    text = text_of(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


@register.filter
def source_name(source: str) -> str:
    """Return where a value comes from, in words."""
    return _SOURCES.get(source, "")


@register.filter
def group_title(group: str) -> str:
    """Return the heading of a group of parameters."""
    return group.replace("_", " ").capitalize()


@register.filter
def is_filled_object(text: Any) -> bool:
    """Tell whether the text of a JSON field holds more than an empty object."""
    return str(text or "").strip() not in {"", "{}"}


@register.filter
def checkpoint_words(expected: ExpectedCheckpoints) -> str:
    """Return how many checkpoints and at which steps: `6: every 250 steps up to step 1,500`."""
    last, interval = expected.last_step, expected.interval
    if expected.count == 1:
        return f"1: at step {expected.first_step:,}"
    end = f"up to step {last:,}" if last % interval == 0 else f"and at the last one, {last:,}"
    return f"{expected.count:,}: every {interval:,} steps {end}"
