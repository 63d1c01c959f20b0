"""The difference of a configuration to the project's defaults and to another configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db.models import Case, IntegerField, Value, When

from artifacts.models import Artifact, ArtifactType
from artifacts.previews.config import (
    Change,
    Configuration,
    Sign,
    compare,
    compare_lines,
    compare_with_defaults,
    read_configuration,
)
from artifacts.previews.text import FileGone
from projects.querysets import Viewer
from runs.querysets import WIDE_COLUMNS
from trainhub.api.views import find
from trainhub.errors import NotFound

OFFERED = 20  # configurations to compare with


@dataclass(frozen=True, slots=True)
class ConfigView:
    """A configuration as its page shows it. `changes` or `lines` say how `other` differs, as far as it is there.

    `defaults` are those of the project, empty where it has none or the file's values are not known.
    """

    configuration: Configuration
    defaults: list[Change]
    choices: list[Artifact]
    other: Artifact | None = None
    is_parent: bool = False
    other_is_gone: bool = False
    changes: list[Change] = field(default_factory=list)
    lines: list[tuple[Sign, str]] = field(default_factory=list)

    @property
    def differing(self) -> list[Change]:
        """The names that differ."""
        return [change for change in self.changes if change.sign != "="]

    @property
    def same(self) -> list[Change]:
        """The names that do not differ."""
        return [change for change in self.changes if change.sign == "="]


def view_config(artifact: Artifact, index: int, *, by: Viewer, query: Mapping[str, str]) -> ConfigView:
    """Read a configuration and compare it. Two queries at most.

    `against` in the query names the other configuration; without it that of the run it was resumed from is taken.
    Raises: FileGone; NotFound when `by` may not see the other one.
    """
    here = read_configuration(artifact, index)
    defaults = artifact.run.project.default_hyperparameters
    changes = compare_with_defaults(here.values, defaults) if here.values is not None else []
    choices = _choices(artifact, by)
    parent = _parent_of(artifact)
    other = _chosen(by, query.get("against", ""), choices)
    if other is None and "against" not in query:
        other = next((one for one in choices if one.run_id == parent and one.name == artifact.name), None)
    if other is None:
        return ConfigView(here, changes, choices)
    is_parent = other.run_id == parent
    try:
        there = read_configuration(other, _same_file(other, artifact.manifest[index]["name"]))
    except FileGone:
        return ConfigView(here, changes, choices, other, is_parent, other_is_gone=True)
    if here.values is not None and there.values is not None:
        return ConfigView(here, changes, choices, other, is_parent, changes=compare(here.values, there.values))
    lines = list(compare_lines(here.text, there.text))
    return ConfigView(here, changes, choices, other, is_parent, lines=lines)


def _parent_of(artifact: Artifact) -> int | None:
    """Return the run that the artifact's run was resumed from."""
    checkpoint = artifact.run.resumed_from
    return None if checkpoint is None else checkpoint.run_id


def _choices(artifact: Artifact, by: Viewer) -> list[Artifact]:
    """Return configurations of the project: the parent's first, then those of the same name, then the newest."""
    rows = Artifact.objects.visible_to(by).whole().filter(run__project=artifact.run.project, type=ArtifactType.CONFIG)
    nearness = Case(
        When(run=_parent_of(artifact), then=Value(0)),
        When(name=artifact.name, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )
    ordered = rows.exclude(pk=artifact.pk).select_related("run").order_by(nearness, "-created_at", "-id")
    ordered = ordered.defer("manifest", *(f"run__{name}" for name in WIDE_COLUMNS))  # of the chosen one alone, later
    return list(ordered[:OFFERED])


def _chosen(by: Viewer, uid: str, choices: list[Artifact]) -> Artifact | None:
    """Return the configuration with this uid, added to the choices; None for an empty one. Raises: NotFound."""
    if not uid:
        return None
    known = next((one for one in choices if one.uid == uid), None)
    if known is None:
        if "\0" in uid:  # no database takes it
            raise NotFound("There is no such configuration.")
        rows = Artifact.objects.visible_to(by).whole().filter(type=ArtifactType.CONFIG)
        known = find(rows.select_related("run"), "configuration", uid=uid)
        choices.append(known)
    return known


def _same_file(artifact: Artifact, name: str) -> int:
    """Return the index of the file with this name, else the first."""
    names = [entry["name"] for entry in artifact.manifest]
    return names.index(name) if name in names else 0
