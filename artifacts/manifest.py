"""Manifests: the list of an artifact's files with size and SHA-256."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson

from runner.protocol import MAX_ARTIFACT_FILES, MAX_FILE_NAME_CHARACTERS, FileEntry
from trainhub.errors import InvalidInput, TooLarge

# An allow-list for each part of a name. Names are shown and sent back, never joined to a path of the hub.
_SEGMENT = re.compile(r"[\w.+=@, ()\[\]{}~#%&'!-]{1,255}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_SIZE_BYTES = 2**53


def is_safe_name(name: str) -> bool:
    """Tell whether `name` is a relative path of plain parts, without `..`, backslashes or control characters."""
    if not 0 < len(name) <= MAX_FILE_NAME_CHARACTERS:
        return False
    return all(_SEGMENT.fullmatch(part) and part not in {".", ".."} for part in name.split("/"))


def read_manifest(files: Any) -> list[FileEntry]:
    """Check what a runner offers. Raises: InvalidInput, TooLarge."""
    if not isinstance(files, list) or not files:
        raise InvalidInput({"files": ["Must be a list of at least one file."]})
    if len(files) > MAX_ARTIFACT_FILES:
        raise TooLarge(f"At most {MAX_ARTIFACT_FILES} files make an artifact.", limit=MAX_ARTIFACT_FILES)
    for number, entry in enumerate(files):
        if not _is_entry(entry):
            raise InvalidInput({"files": [f"File {number} is not {{name, size_bytes, sha256}} with a safe name."]})
    names = [entry["name"] for entry in files]
    if len(set(names)) != len(names):
        raise InvalidInput({"files": ["A name occurs twice."]})
    return files


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and set(entry) == {"name", "size_bytes", "sha256"}
        and isinstance(entry["name"], str)
        and is_safe_name(entry["name"])
        and type(entry["size_bytes"]) is int
        and 0 <= entry["size_bytes"] <= MAX_SIZE_BYTES
        and isinstance(entry["sha256"], str)
        and _SHA256.fullmatch(entry["sha256"]) is not None
    )


def digest_of(manifest: list[FileEntry]) -> str:
    """Return the SHA-256 over the manifest: one hash that stands for the whole artifact."""
    return hashlib.sha256(orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)).hexdigest()


def total_bytes(manifest: list[FileEntry]) -> int:
    """Return the size of all files together."""
    return sum(entry["size_bytes"] for entry in manifest)
