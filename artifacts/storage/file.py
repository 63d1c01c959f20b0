"""Artifacts in a folder of the hub's machine.

A file is written aside, hashed, fsynced and then renamed. What a process that was killed left aside is collected later.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from io import BufferedReader
from pathlib import Path

from artifacts.storage.base import MARK, UID, BodyCutOff, Received, check_place
from trainhub.errors import DomainError, InvalidInput, StorageFull

BLOCKS_AHEAD = 2  # that may wait to be written while the next arrives
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class FileStore:
    """Artifacts below one folder of this machine; the methods are those of `ArtifactStore`."""

    kind = "file"

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def _incoming(self) -> Path:
        return self._root / "incoming"  # no uid ends in it: places of artifacts lie in folders of two letters

    def _place(self, uid: str, index: int) -> Path:
        check_place(uid, index)
        return self._root / uid[-2:] / uid / f"{index:06d}"

    def has(self, uid: str, index: int, size_bytes: int) -> bool:
        """Tell whether the file is there with its full size."""
        try:
            return self._place(uid, index).stat().st_size == size_bytes
        except FileNotFoundError:
            return False

    def missing(self, uid: str, sizes: Mapping[int, int]) -> list[int]:
        """Return those numbers whose files are not there with their full size: a look at each."""
        return [number for number, size_bytes in sizes.items() if not self.has(uid, number, size_bytes)]

    def sizes(self, uid: str) -> dict[int, int]:
        """Return the bytes of an artifact's files by their numbers."""
        try:
            return {int(path.name): path.stat().st_size for path in self._place(uid, 0).parent.iterdir()}
        except FileNotFoundError:
            return {}

    def write(self, uid: str, index: int, blocks: Iterable[bytes], *, size_bytes: int, sha256: str) -> None:
        """Store one file; memory use is one block.

        Raises: InvalidInput when size or hash differ, StorageFull (507) without room. Nothing is kept then.
        """
        place, aside = self._prepare(uid, index)
        try:
            with _told_when_full():
                written, digest = _write_durably(aside, blocks, size_bytes)
                if written != size_bytes or digest != sha256:
                    raise InvalidInput({"file": ["Size or SHA-256 differ from the manifest; send it again."]})
                aside.rename(place)
                _sync_folder(place.parent)
        finally:
            aside.unlink(missing_ok=True)

    @contextmanager
    def receive(self, uid: str, number: int, blocks: Iterable[bytes], *, size_bytes: int | None) -> Iterator[Received]:
        """Store one file of unknown hash and yield what arrived; the caller records it within the block.

        `number` must be a new one. Memory use is one block. `size_bytes` is what the sender announced, None when it did
        not. The file is kept when the block ends well. When it raises a DomainError nothing is kept; after any other
        error nobody knows whether it was recorded: then its name stays among `abandoned`, and whoever collects those
        looks.

        Raises: BodyCutOff for fewer bytes than announced, StorageFull (507) without room. Nothing is kept then.
        """
        place, aside = self._prepare(uid, number)
        try:
            with _told_when_full():
                written, digest = _write_durably(aside, blocks, size_bytes)
                if size_bytes is not None and written != size_bytes:
                    raise BodyCutOff(f"Of {size_bytes} bytes {written} arrived; nothing was kept.")
                self._make_folder(place.parent)
                os.link(aside, place)
                _sync_folder(place.parent)
        except BaseException:
            place.unlink(missing_ok=True)
            aside.unlink(missing_ok=True)
            raise
        try:
            yield Received(written, digest)
        except DomainError:
            place.unlink(missing_ok=True)
            aside.unlink(missing_ok=True)
            raise
        aside.unlink(missing_ok=True)

    def _prepare(self, uid: str, number: int) -> tuple[Path, Path]:
        """Return the place of a file, whose folder is there, and one aside where it is written."""
        place = self._place(uid, number)
        with _told_when_full():
            self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_folder(place.parent)
        return place, self._incoming / f"{uid}-{number:06d}.{secrets.token_hex(4)}"

    def _make_folder(self, folder: Path) -> None:
        """Make the folder of an artifact, durably: a new folder is an entry of its parent."""
        if folder.exists():
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for parent in (folder.parent, self._root):
            _sync_folder(parent)

    def link(self, uid: str, number: int, *, to_uid: str, to_number: int) -> None:
        """Give a file a second place, under another artifact; the bytes are not copied. Raises: FileNotFoundError."""
        place = self._place(to_uid, to_number)
        with _told_when_full():
            self._make_folder(place.parent)
            os.link(self._place(uid, number), place)
            _sync_folder(place.parent)

    def delete_file(self, uid: str, number: int) -> None:
        """Remove one file; gone is success. Who has it open reads on."""
        self._place(uid, number).unlink(missing_ok=True)

    def numbers(self, uid: str) -> set[int]:
        """Return the numbers of an artifact's files, whether its manifest names them or not."""
        try:
            return {int(path.name) for path in self._place(uid, 0).parent.iterdir()}
        except FileNotFoundError:
            return set()

    def being_received(self, uid: str) -> set[int]:
        """Return the numbers of an artifact's files that are being written, or were when a process was killed."""
        return {int(path.name[len(uid) + 1 :].partition(".")[0]) for path in self._incoming.glob(f"{uid}-*.*")}

    def abandoned(self, *, older_than: timedelta) -> dict[str, set[int]]:
        """Return the numbers of files that were begun, or not known to be recorded, so long ago, by artifacts' uids."""
        found: dict[str, set[int]] = {}
        for path in self._old_incoming(older_than):
            uid, _, rest = path.name.partition("-")
            found.setdefault(uid, set()).add(int(rest.partition(".")[0]))
        return found

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

    def collect_incoming(self, *, older_than: timedelta) -> int:
        """Remove what was begun and not written to for so long; return how many files."""
        count = 0
        for path in self._old_incoming(older_than):
            path.unlink(missing_ok=True)
            count += 1
        return count

    def _old_incoming(self, older_than: timedelta) -> Iterator[Path]:
        limit = time.time() - older_than.total_seconds()
        for path in self._incoming.glob("*"):
            try:
                if path.stat().st_mtime < limit:
                    yield path
            except FileNotFoundError:
                continue  # it has just become whole

    def parts(self, *, after: str, limit: int) -> list[str]:
        """Return the names of some parts of the store, in order, that follow `after`."""
        names = (path.name for path in self._root.glob("??") if path.name > after and path.is_dir())
        return sorted(names)[:limit]

    def uids_in(self, part: str, *, older_than: timedelta) -> list[str]:
        """Return the uids of artifacts in a part of the store to which no file was added for so long."""
        limit = time.time() - older_than.total_seconds()
        found = []
        for path in (self._root / part).iterdir():
            with suppress(FileNotFoundError):  # it has just been removed
                if UID.fullmatch(path.name) and path.name[-2:] == part and path.stat().st_mtime < limit:
                    found.append(path.name)
        return found

    def delete(self, uid: str) -> None:
        """Remove all files of an artifact; gone is success."""
        shutil.rmtree(self._place(uid, 0).parent, ignore_errors=True)

    def read_mark(self) -> str | None:
        """Return the uid of the installation that the folder belongs to; None when nobody has marked it."""
        try:
            return (self._root / MARK).read_text(errors="replace").strip()
        except FileNotFoundError:
            return None

    def write_mark(self, uid: str) -> None:
        """Let the folder belong to an installation, durably. Raises: StorageFull."""
        aside = self._root / f".{MARK}.{secrets.token_hex(4)}"
        try:
            with _told_when_full():
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                _write_durably(aside, [f"{uid}\n".encode()], None)
                aside.rename(self._root / MARK)
                _sync_folder(self._root)
        finally:
            aside.unlink(missing_ok=True)

    def problems(self) -> list[str]:
        """Return why no file can be put into the folder, and taken out of it."""
        probe = self._incoming / f"probe_0-000000.{secrets.token_hex(4)}"
        try:
            self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe.write_bytes(b"probe")
            probe.unlink()
        except OSError as error:
            return [f"The folder of artifacts cannot be written to: {error.strerror}."]
        return []


@contextmanager
def _told_when_full() -> Iterator[None]:
    """Turn the system's word for a full disk into StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull("The artifact store has no room left; nothing was kept.") from error
        raise


def _write_durably(path: Path, blocks: Iterable[bytes], limit: int | None) -> tuple[int, str]:
    """Write blocks to a new file and sync it; return size and SHA-256. One byte over `limit` ends it.

    Hashing and writing go on in a thread of their own while the next block arrives: together they take about as long.
    What is written is sent to the disk at once, so that syncing has little left to wait for.
    """
    total, written = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file, ThreadPoolExecutor(1) as writer:

        def keep(block: bytes) -> None:
            total.update(block)
            left = memoryview(block)
            while left:
                left = left[file.write(left) :]
            os.posix_fadvise(descriptor, file.tell() - len(block), len(block), os.POSIX_FADV_DONTNEED)

        waiting: deque[Future[None]] = deque()
        for block in blocks:
            written += len(block)
            if limit is not None and written > limit:
                break
            if len(waiting) == BLOCKS_AHEAD:
                waiting.popleft().result()
            waiting.append(writer.submit(keep, block))
        for kept in waiting:
            kept.result()
        os.fsync(file.fileno())
    return written, total.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
