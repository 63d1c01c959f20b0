"""Copies of the store's files.

A stored file never changes and is there whole or not at all, so its size tells whether it is in the backup already.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

INCOMING = "incoming"  # what is being received; nothing in it belongs to an artifact yet


@dataclass
class Copied:
    """What the target holds of the source in the end, and what of it was new."""

    files: int = 0
    size_bytes: int = 0
    new_files: int = 0
    new_bytes: int = 0


def copy_new_files(source: Path, target: Path, *, by_link: bool) -> Copied:
    """Bring the store `source` into `target`: what is there with its full size stays. Memory use is one folder's names.

    `by_link`: as hard links, which take no room and no time, on the same disk; otherwise as copies. What is deleted
    meanwhile is left out. Raises: OSError.
    """
    copied = Copied()
    for path in _files_below(source):
        place = target / path.relative_to(source)
        try:
            size = path.stat().st_size
            if _size_of(place) != size:
                _bring(path, place, size, by_link=by_link)
                copied.new_files += 1
                copied.new_bytes += size
        except FileNotFoundError:
            continue  # deleted since its folder was read
        copied.files += 1
        copied.size_bytes += size
    return copied


def remove_gone(source: Path, target: Path) -> None:
    """Remove from `target` the folders of artifacts that `source` does not have any more."""
    for part in target.glob("??"):
        for folder in part.iterdir():
            if not (source / part.name / folder.name).exists():
                shutil.rmtree(folder, ignore_errors=True)


def _files_below(store: Path) -> Iterator[Path]:
    for part in sorted(store.iterdir()):
        if part.name != INCOMING and part.is_dir():
            yield from _files_in_parts(part)


def _files_in_parts(part: Path) -> Iterator[Path]:
    for artifact in sorted(part.iterdir()):
        try:
            yield from sorted(artifact.iterdir())
        except FileNotFoundError:
            continue  # deleted


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _bring(path: Path, place: Path, size: int, *, by_link: bool) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = place.with_name(f".{place.name}")
    aside.unlink(missing_ok=True)
    if by_link:
        os.link(path, aside)
    else:
        shutil.copyfile(path, aside)
    if aside.stat().st_size != size:
        aside.unlink()
        raise OSError(f"{path} was copied incompletely")
    aside.replace(place)
