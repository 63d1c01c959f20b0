"""The beginning of a file as text that is safe to show."""

from __future__ import annotations

import re
from dataclasses import dataclass

from artifacts.models import Artifact
from artifacts.storage import store_of

SHOWN_BYTES = 200_000  # of a text
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # newline, return and tab are kept


class FileGone(Exception):
    """The bytes of the file are not in the store any more."""


@dataclass(frozen=True, slots=True)
class Text:
    """The beginning of a text; `is_cut` when the file goes on."""

    text: str
    is_cut: bool


def read_start(artifact: Artifact, index: int, limit: int) -> bytes:
    """Return the first bytes of a file, at most `limit`. Raises: FileGone."""
    try:
        with store_of(artifact).open(artifact.uid, artifact.file_number(index)) as file:
            return file.read(limit)
    except OSError:
        raise FileGone from None


def read_text(artifact: Artifact, index: int, limit: int = SHOWN_BYTES) -> Text:
    """Return a file as text, at most `limit` bytes of it; what is not UTF-8 is marked. Raises: FileGone."""
    start = read_start(artifact, index, limit + 1)
    return Text(clean(start[:limit].decode(errors="replace")), is_cut=len(start) > limit)


def clean(text: str) -> str:
    """Replace what no page can carry: control characters, and halves of characters from JSON escapes."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)
