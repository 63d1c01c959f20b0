"""Copies of the store's files.

A stored file never changes and is there whole or not at all. A number may be given out again, though, and then names
other bytes, perhaps as many: size and time together tell whether a file is in the backup already.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from artifacts.storage.base import UID

INCOMING = "incoming"  # what is being received; nothing in it belongs to an artifact yet


@dataclass
class Copied:
    """What the target holds of the source in the end, and what of it was new."""

    files: int = 0
    size_bytes: int = 0
    new_files: int = 0
    new_bytes: int = 0


def copy_new_files(source: Path, target: Path, *, by_link: bool) -> Copied:
    """Bring the store `source` into `target`: what is there already stays. Memory use is one folder's names.

    `by_link`: as hard links, which take no room and no time, on the same disk; otherwise as copies, which keep the
    time of their last change. What is deleted meanwhile is left out. Raises: OSError.
    """
    copied = Copied()
    for path in _files_below(source):
        place = target / path.relative_to(source)
        try:
            status = path.stat()
            size = status.st_size
            if not _is_there(place, status, by_link=by_link):
                _bring(path, place, status, by_link=by_link)
                copied.new_files += 1
                copied.new_bytes += size
        except FileNotFoundError:
            continue  # deleted since its folder was read
        copied.files += 1
        copied.size_bytes += size
    return copied


def remove_gone(source: Path, target: Path, deleted: Iterable[str]) -> None:
    """Remove from `target` the folders that `source` does not have, of artifacts that the hub itself `deleted` (uids).

    That a folder is missing in `source` is not enough: the store may have lost it, or not be mounted.
    """
    for uid in deleted:
        if not folder_of(source, uid).exists():
            shutil.rmtree(folder_of(target, uid), ignore_errors=True)


def uids_in(store: Path) -> Iterator[list[str]]:
    """Yield the uids of artifacts that have a folder in a store, those of one part at a time."""
    for part in sorted(path for path in store.glob("??") if path.is_dir()):
        names = sorted(folder.name for folder in part.iterdir())
        yield [name for name in names if UID.fullmatch(name) and name[-2:] == part.name]


def folder_of(store: Path, uid: str) -> Path:
    """Return where a store has the files of an artifact."""
    return store / uid[-2:] / uid


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


def _is_there(place: Path, status: os.stat_result, *, by_link: bool) -> bool:
    """Tell whether the file of this status is in the backup; times by the second, as some file systems round them."""
    try:
        there = place.stat()
    except FileNotFoundError:
        return False
    if by_link:
        return os.path.samestat(there, status)
    return (there.st_size, int(there.st_mtime)) == (status.st_size, int(status.st_mtime))


def _bring(path: Path, place: Path, status: os.stat_result, *, by_link: bool) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = place.with_name(f".{place.name}")
    aside.unlink(missing_ok=True)
    if by_link:
        os.link(path, aside)
    else:
        shutil.copyfile(path, aside)
        os.utime(aside, ns=(status.st_atime_ns, status.st_mtime_ns))
    if aside.stat().st_size != status.st_size:
        aside.unlink()
        raise OSError(f"{path} was copied incompletely")
    aside.replace(place)
