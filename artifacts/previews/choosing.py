"""Which file of an artifact is previewed, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from artifacts.models import Artifact, ArtifactType
from artifacts.previews.table import MAX_BYTES, JsonTable, make_table, parse_json
from artifacts.previews.text import FileGone, Text, read_start, read_text
from trainhub.errors import NotFound

_TEXT = (
    ".txt", ".md", ".log", ".jsonl", ".ndjson", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".py", ".sh",
    ".xml", ".html", ".htm", ".diff", ".patch",
)  # fmt: skip
_CONFIG = (".json", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".txt")

Kind = Literal["table", "text", "config", "gone"]


@dataclass(frozen=True, slots=True)
class Preview:
    """One file as the page shows it; `gone` when its bytes are not there."""

    index: int
    name: str
    size_bytes: int
    kind: Kind
    table: JsonTable | None = None
    text: Text | None = None


def is_previewed(name: str) -> bool:
    """Tell from its name whether a file can be shown; nothing is ever guessed from its bytes."""
    return name.lower().endswith((".json", *_TEXT))


def choose_file(artifact: Artifact, wanted: int | None) -> int | None:
    """Return the index of the file to show: the wanted one, else the first that can be; None when none is.

    Nothing of a checkpoint or of TensorBoard's files is shown unasked. Raises: NotFound.
    """
    if wanted is not None:
        if wanted >= len(artifact.manifest) or not is_previewed(artifact.manifest[wanted]["name"]):
            raise NotFound("The artifact has no such file, or it cannot be shown.")
        return wanted
    if artifact.type in {ArtifactType.CHECKPOINT, ArtifactType.TENSORBOARD}:
        return None
    names = (entry["name"] for entry in artifact.manifest)
    return next((index for index, name in enumerate(names) if is_previewed(name)), None)


def make_preview(artifact: Artifact, index: int) -> Preview:
    """Read what is shown of a file: a table of JSON, a configuration, or the beginning of the text."""
    entry = artifact.manifest[index]
    name, size = entry["name"], entry["size_bytes"]
    if artifact.type == ArtifactType.CONFIG and name.lower().endswith(_CONFIG):
        return Preview(index, name, size, "config")
    try:
        table = _read_table(artifact, index) if name.lower().endswith(".json") else None
        if table is not None:
            return Preview(index, name, size, "table", table=table)
        return Preview(index, name, size, "text", text=read_text(artifact, index))
    except FileGone:
        return Preview(index, name, size, "gone")


def _read_table(artifact: Artifact, index: int) -> JsonTable | None:
    """Return a JSON file as a table; None when it is too large or no JSON, and is shown as text then."""
    content = read_start(artifact, index, MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        return None
    try:
        return make_table(parse_json(content))
    except (ValueError, RecursionError):
        return None
