"""Manifests: the list of an artifact's files with size and SHA-256."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson

from runner.protocol import MAX_ARTIFACT_FILES, MAX_FILE_NAME_CHARACTERS, FileEntry
from trainhub.errors import InvalidInput, TooLarge

# An allow-list for each part of a name: of ASCII these, beyond it all that can be seen. Names are shown and sent back,
# never joined to a path of the hub.
_SEGMENT = re.compile(r"[\w.+=@, ()\[\]{}~#%&'!\x80-\U0010ffff-]{1,255}")
_CLIENTS_TOO = str.maketrans(dict.fromkeys(";:?", "_"))  # what names of clients may hold beside that
_DRIVE = re.compile(r"[A-Za-z]:")
# Percent-encoded dots, separators, NUL and ends of lines, however often encoded: no honest name holds what one decoding
# too many would make a way up.
_ENCODED = re.compile(r"%(?:25)*(?:2e|2f|5c|00|0a|0d)", re.IGNORECASE)
# How `mlflow.log_image` of MLflow 2 ends names, "k%step%2500%timestamp%1795776232437%2f04…": nothing here is encoded.
_IMAGE = re.compile(r"%step%-?[0-9]+%timestamp%[0-9]+%[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_SIZE_BYTES = 2**53


def is_safe_name(name: str) -> bool:
    """Tell whether `name` is a relative path of plain parts, without `..`, backslashes or control characters."""
    if not 0 < len(name) <= MAX_FILE_NAME_CHARACTERS or not name.isprintable() or _DRIVE.match(name):
        return False
    return all(_SEGMENT.fullmatch(part) and part not in {".", ".."} for part in name.split("/"))


def is_client_path(path: str) -> bool:
    """Tell whether a tracking client may put a file at `path`: a safe name, also after any further decoding.

    Some more signs are fine than in names of runners; a space at an end of a part, which nobody sees, is not.
    """
    if _DRIVE.match(path) or _ENCODED.search(_IMAGE.sub("_", path)):
        return False
    return is_safe_name(path.translate(_CLIENTS_TOO)) and all(part == part.strip() for part in path.split("/"))


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
