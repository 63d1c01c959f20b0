"""The history of a checkpoint's tags, read from the timeline of its run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from artifacts.models import Artifact

SHOWN_ENTRIES = 50


@dataclass(frozen=True, slots=True)
class TagEntry:
    """A tag put on (`is_applied`) or taken off; `actor` is the name that the person had then."""

    value: str
    is_applied: bool
    at: datetime
    actor: str
    notes: str


def tag_history(artifact: Artifact) -> list[TagEntry]:
    """Return what happened to the tags of a checkpoint, newest first, at most SHOWN_ENTRIES. One query."""
    events = artifact.run.events.filter(kind__in=["tagged", "untagged"], evidence__artifact=artifact.uid)
    columns = events.order_by("-id").values_list("kind", "at", "actor", "evidence")[:SHOWN_ENTRIES]
    return [
        TagEntry(str(evidence.get("tag", "")), kind == "tagged", at, actor, str(evidence.get("notes", "")))
        for kind, at, actor, evidence in columns
    ]
