"""What pages show of artifacts: lists by type, and the lineage of a run, also on pages of others."""

from __future__ import annotations

from typing import Any

from django import template

from artifacts.lineage.picture import Picture, draw_lineage
from artifacts.listing import Group, group_by_type
from artifacts.models import Artifact
from runs.models import Run

register = template.Library()


@register.inclusion_tag("artifacts/_lineage.html")
def lineage_of(run: Run, current: Artifact | None = None) -> dict[str, Picture]:
    """Draw the lineage of a run that the page may show, with `current`, an artifact of it, marked. Two queries.

    The page links css/artifacts.css and js/lineage.js.
    """
    return {"picture": draw_lineage(run, current=current)}


@register.filter
def by_type(artifacts: Any) -> list[Group]:
    """Return the artifacts of a list by type."""
    return group_by_type(artifacts)
