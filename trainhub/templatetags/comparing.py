"""Cells of the table that compares runs."""

from __future__ import annotations

from django import template

from runs.comparison import Cell, Outcome, Row
from runs.comparison_page import LONG, cell_text, unit_of
from trainhub.templatetags.formatting import file_size, percent, short_number

register = template.Library()

register.filter("cell_text", cell_text)
register.filter("unit_of", unit_of)


@register.filter
def in_unit(value: float | None, metric: str) -> str:
    """Return a value of a metric with its unit."""
    unit = unit_of(metric)
    if value is None or not unit:
        return short_number(value)
    if unit == "percent":
        return percent(value)
    return file_size(int(value)) if unit == "bytes" else f"{short_number(value)} {unit}"


@register.filter
def final_value(outcome: Outcome, metric: str) -> str:
    """Return the newest value of a metric with its unit, or the name of what is no number."""
    return outcome.special or in_unit(outcome.final, metric)


@register.filter
def is_long(text: str) -> bool:
    """Tell whether a value is folded until somebody opens it."""
    return len(text) > LONG or "\n" in text


@register.filter
def cell_class(cell: Cell, row: Row) -> str:
    """Return the classes of a cell. No two runs come out alike: of metrics the best is marked, not what differs."""
    names = {"missing": cell.is_missing, "off": cell.deviates and not row.is_metric}
    return " ".join(name for name, holds in names.items() if holds)
