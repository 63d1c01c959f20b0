"""The file store: the only code that touches the bytes of artifacts.

A file's place is made of the artifact's uid and the file's index in the manifest; no name that anybody chose is ever
part of a path. A file is there whole or not at all: it is written aside, hashed, fsynced and then renamed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from django.conf import settings

from trainhub.errors import InvalidInput, StorageFull

BLOCK_BYTES = 1024 * 1024
_UID = re.compile(r"[a-z]+_[0-9a-z]+")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class FileStore:
    """Artifacts below one folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _place(self, uid: str, index: int) -> Path:
        if not _UID.fullmatch(uid) or index < 0:
            raise ValueError("not the uid of an artifact")
        return self._root / uid[-2:] / uid / f"{index:06d}"

    def has(self, uid: str, index: int, size_bytes: int) -> bool:
        """Tell whether the file is there with its full size."""
        try:
            return self._place(uid, index).stat().st_size == size_bytes
        except FileNotFoundError:
            return False

    def write(self, uid: str, index: int, blocks: Iterable[bytes], *, size_bytes: int, sha256: str) -> None:
        """Store one file; memory use is one block.

        Raises: InvalidInput when size or hash differ, StorageFull (507) without room. Nothing is kept then.
        """
        place = self._place(uid, index)
        aside = place.with_name(f"{place.name}.{secrets.token_hex(4)}.part")
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            written, digest = _write_durably(aside, blocks, size_bytes)
            if written != size_bytes or digest != sha256:
                raise InvalidInput({"file": ["Size or SHA-256 differ from the manifest; send it again."]})
            aside.rename(place)
            for folder in (place.parent, place.parent.parent, self._root):  # a new folder is an entry of its parent
                _sync_folder(folder)
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull("The artifact store has no room left; nothing was kept.") from error
            raise
        finally:
            aside.unlink(missing_ok=True)

    def open(self, uid: str, index: int) -> BufferedReader:
        """Open one file for reading. Raises: FileNotFoundError."""
        return self._place(uid, index).open("rb")

    def digest(self, uid: str, index: int) -> str:
        """Return the SHA-256 of the stored bytes. Raises: FileNotFoundError."""
        with self.open(uid, index) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def holds(self, uid: str) -> bool:
        """Tell whether anything of an artifact is there."""
        return self._place(uid, 0).parent.exists()

    def delete(self, uid: str) -> None:
        """Remove all files of an artifact; gone is success."""
        shutil.rmtree(self._place(uid, 0).parent, ignore_errors=True)


def _write_durably(path: Path, blocks: Iterable[bytes], limit: int) -> tuple[int, str]:
    total, written = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for block in blocks:
            written += len(block)
            if written > limit:
                break
            total.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return written, total.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Readable(Protocol):
    """Anything that reads bytes, such as a request."""

    def read(self, size: int = ..., /) -> bytes:
        """Return at most `size` bytes; empty at the end."""
        ...


def read_blocks(stream: Readable) -> Iterator[bytes]:
    """Yield what a stream holds, a block at a time."""
    while block := stream.read(BLOCK_BYTES):
        yield block


def store() -> FileStore:
    """Return the store of this installation."""
    return FileStore(settings.DATA_DIR / "store")
