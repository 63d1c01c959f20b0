"""Files that are whole or absent after a crash, and the runner's own notes."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def note(text: str) -> None:
    """Write one line to the runner's own log (stderr). Never raises: a full disk must not end the runner."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{stamp} {text}\n")
        sys.stderr.flush()


def printable(text: str) -> str:
    """Return the text without lone surrogates and NUL, which JSON stores and databases refuse."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def write_durably(path: Path, data: bytes) -> None:
    """Write a file by temporary name, fsync, rename and fsync of the folder. Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        write_through(temporary, data)
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def write_through(path: Path, data: bytes) -> None:
    """Write a file, readable by its owner only, and wait until the disk has it. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make renames and removals in a folder durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_record(path: Path, record: Any) -> None:
    """Write a JSON file durably. Raises OSError."""
    write_durably(path, json.dumps(record, indent=1).encode())


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file, None when it is absent or damaged."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None
