"""How pages write times, sizes and numbers, and what they show of a run in one word."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import forms, template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString

from runs.attempts import is_unreachable
from runs.newest_values import choose_loss
from trainhub.api.renderers import dump_json

register = template.Library()
NOTHING = "–"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")  # powers of 1,000, as disks are sold


@register.filter
def utc_time(moment: datetime | str | None) -> str:
    """Return a time as `2024-01-02 10:00:00 UTC`; ISO text is taken too, None is a dash."""
    if isinstance(moment, str):
        moment = parse_datetime(moment)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else NOTHING


@register.filter
def moment(at: datetime | str | None, show: str = "") -> SafeString | str:
    """Return a `<time>` with UTC in the page and on hover.

    A script shows it in the reader's zone; with `show` as `ago`, or `exact` as it is.
    """
    if isinstance(at, str):
        at = parse_datetime(at)
    if at is None:
        return NOTHING
    iso = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    text = f"{until(at, None)} ago" if show == "ago" else utc_time(at)
    return format_html('<time datetime="{}" title="{}" data-show="{}">{}</time>', iso, utc_time(at), show, text)


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return one of the drawings of static/icons.svg; text beside it says what it means."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', static("icons.svg"), name)


@register.filter
def pairs(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return names and values. `table.items` in a template is the entry of that name, where people name them."""
    return list(table.items())


@register.filter
def words(text: str) -> list[str]:
    """Return the words of a text, for loops over a few names."""
    return text.split()


# --- Forms ----------------------------------------------------------------------------------------
@register.filter
def is_check(field: forms.BoundField) -> bool:
    """Tell whether the field is a single box to tick."""
    return isinstance(field.field.widget, forms.CheckboxInput)


@register.filter
def control(field: forms.BoundField, label: str = "") -> SafeString:
    """Return the field's control in the style sheet's classes; with `label` it is named without a visible label."""
    widget = field.field.widget
    kind = "form-control"
    if isinstance(widget, forms.CheckboxInput):
        kind = "form-check-input"
    elif isinstance(widget, forms.CheckboxSelectMultiple | forms.RadioSelect):
        kind = "choices"
    elif isinstance(widget, forms.Select):
        kind = "form-select"
    attrs: dict[str, str | bool] = {
        "class": f"{kind} {widget.attrs.get('class', '')}".strip(),
        **({"aria-label": label} if label else {}),
    }
    return field.as_widget(attrs=attrs)


# --- Numbers and times ----------------------------------------------------------------------------
@register.filter
def time_span(seconds: float | None) -> str:
    """Return a duration in its two largest units: `4 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds is None:
        return NOTHING
    whole = max(0, round(seconds))
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {small_unit}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


@register.filter
def until(start: datetime | None, end: datetime | None) -> str:
    """Return how long it is from `start` to `end`, or to now while there is no end."""
    return time_span(((end or timezone.now()) - start).total_seconds()) if start else NOTHING


@register.filter
def file_size(size_bytes: int | None) -> str:
    """Return a size with three digits and its unit: `999 B`, `1.23 MB`."""
    if size_bytes is None:
        return NOTHING
    size, power = float(size_bytes), 0
    while size >= 999.5 and power < len(_UNITS) - 1:
        size, power = size / 1000, power + 1
    shown = f"{size:.3g}" if power and size < 999.5 else f"{size:.0f}"
    return f"{shown} {_UNITS[power]}"


@register.filter
def short_number(value: float | None) -> str:
    """Return a number with at most five digits; None is a dash, NaN and infinities are named."""
    if value is None:
        return NOTHING
    if isinstance(value, int):
        return str(value)
    return f"{value:.5g}" if math.isfinite(value) else str(value)


@register.filter
def grouped(value: float | None) -> str:
    """Return a number with its thousands apart: `12,000`, `12,345` for 12345.6, `3.21` for 3.2149; None is a dash."""
    if value is None:
        return NOTHING
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.3g}"


@register.filter
def percent(share: float | None) -> str:
    """Return a share of 0 to 1 in percent."""
    return NOTHING if share is None else f"{share:.1%}"


@register.filter
def pretty_json(value: Any) -> str:
    """Return a value as indented JSON; the template escapes it."""
    return dump_json(value, indent=True).decode()


@register.filter
def metric_value(metric: Any) -> str:
    """Return the newest value of a metric, or the name of what is no number."""
    return metric.special or short_number(metric.value)


@register.filter
def newest_loss(run: Any) -> Any:
    """Return the run's newest training loss, else another loss, else None. Uses the loaded metrics."""
    return choose_loss(run.newest_metrics.all())


@register.filter
def newest_attempt(run: Any) -> Any:
    """Return the run's newest attempt, or None. Uses the loaded attempts."""
    return max(run.attempts.all(), key=lambda attempt: attempt.number, default=None)


@register.filter
def silent(attempt: Any) -> bool:
    """Tell whether the attempt's node has been silent for too long to call it reachable."""
    return is_unreachable(attempt)
