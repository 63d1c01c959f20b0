"""Configurations: what they say, and how two of them differ."""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from artifacts.models import Artifact
from artifacts.previews.table import MAX_BYTES, MAX_CHARACTERS, dump, parse_json, walk
from artifacts.previews.text import clean, read_start, read_text

MAX_LINES = 1000  # of a text that is compared line by line
MAX_VALUES = 1000
COMPARED_TEXT_BYTES = 100_000

Sign = Literal["+", "-", "±", "="]
_SIGNS: dict[str, Sign] = {"+": "+", "-": "-", " ": "="}


@dataclass(frozen=True, slots=True)
class Change:
    """One name of two configurations; None where a side does not have it.

    `sign` is + for what only this one has, - for what only the other has, ± for another value, = for the same.
    """

    path: str
    here: str | None
    there: str | None

    @property
    def sign(self) -> Sign:
        """How the sides differ."""
        if self.there is None:
            return "+"
        if self.here is None:
            return "-"
        return "=" if self.here == self.there else "±"


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a file says: `values` by path as JSON; None where only the text is known, as of YAML."""

    text: str
    values: dict[str, str] | None
    is_cut: bool = False


def read_configuration(artifact: Artifact, index: int) -> Configuration:
    """Read a file as JSON or TOML by its name; anything else, or what is neither, is text. Raises: FileGone."""
    name = artifact.manifest[index]["name"].lower()
    text = read_text(artifact, index)
    content = read_start(artifact, index, MAX_BYTES + 1)
    if len(content) > MAX_BYTES or not name.endswith((".json", ".toml")):
        return Configuration(text.text, None, text.is_cut)
    try:
        values = values_of(parse_json(content) if name.endswith(".json") else tomllib.loads(content.decode()))
    except (
        ValueError,
        RecursionError,
    ):  # also of values that can be read and not be written: 5,000 digits, 3,000 levels
        values = None
    return Configuration(text.text, values, text.is_cut)


def values_of(value: Any) -> dict[str, str]:
    """Return the values of a configuration by path, each as JSON; MAX_VALUES at most."""
    found: dict[str, str] = {}
    for path, leaf in walk(value):
        if len(found) == MAX_VALUES:
            break
        found[path or "(value)"] = clean(_written(leaf))[:MAX_CHARACTERS]
    return found


def _written(value: Any) -> str:
    """Return JSON; dates and times of TOML, which JSON does not have, as they are written there."""
    try:
        return dump(value)
    except TypeError:
        return str(value)


def compare(here: Mapping[str, str], there: Mapping[str, str]) -> list[Change]:
    """Return all names of both sides, sorted, each with how it differs."""
    return [Change(path, here.get(path), there.get(path)) for path in sorted({*here, *there})]


def compare_with_defaults(here: Mapping[str, str], defaults: Mapping[str, Any]) -> list[Change]:
    """Return the defaults of a project, each beside what the configuration says wherever it says something.

    Programs put a hyperparameter where they like, so the last name of a path decides.
    """
    changes = []
    for name, default in sorted(values_of(defaults).items()):
        paths = [path for path in here if path == name or path.endswith(f".{name}")]
        changes += [Change(path, here[path], default) for path in paths] or [Change(name, None, default)]
    return changes


def compare_lines(here: str, there: str) -> Iterator[tuple[Sign, str]]:
    """Yield the lines of both texts around what differs: sign and line; + is only here, - only there."""
    before, after = (text[:COMPARED_TEXT_BYTES].splitlines()[:MAX_LINES] for text in (there, here))
    difference = difflib.unified_diff(before, after, lineterm="", n=3)
    for line in itertools.islice(difference, 2, None):  # the names of both files come first
        if not line.startswith("@@"):
            yield _SIGNS[line[0]], line[1:]
