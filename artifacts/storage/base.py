"""What every store of artifacts does, and the shapes and errors that all of them share.

A file's place is made of the artifact's uid and a number (`Artifact.file_number`); no name that anybody chose is ever
part of a path or key. A file is there whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from trainhub.errors import DomainError, TooBusy

BLOCK_BYTES = 1024 * 1024
MARK = "installation"  # at the root of a store; no place of an artifact, as those lie in folders of two letters
UID = re.compile(r"[a-z]+_[0-9a-z]+")


class Received(NamedTuple):
    """What arrived: the size in bytes, and the SHA-256 in hex."""

    size_bytes: int
    sha256: str


class BodyCutOff(DomainError):
    """The sender stopped before the end of what it had announced."""

    code = "cut_off"


class StoreUnavailable(TooBusy):
    """The store cannot be reached, or refuses the hub; the same request may succeed later."""

    code = "store_unavailable"


class Readable(Protocol):
    """Anything that reads bytes, such as a request."""

    def read(self, size: int = ..., /) -> bytes:
        """Return at most `size` bytes; empty at the end."""
        ...


class StoredBytes(Protocol):
    """A file of a store that is open for reading, from the beginning to the end; closes itself as a context."""

    def read(self, size: int = ..., /) -> bytes:
        """Return at most `size` bytes; empty at the end."""
        ...

    def close(self) -> None:
        """Give up what holds it open."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


class ArtifactStore(Protocol):
    """Where bytes of artifacts are. Every method may raise StoreUnavailable where the store is another machine."""

    kind: str  # what `Artifact.store` holds

    def has(self, uid: str, index: int, size_bytes: int) -> bool:
        """Tell whether the file is there with its full size."""
        ...

    def missing(self, uid: str, sizes: Mapping[int, int]) -> list[int]:
        """Return those numbers of `sizes` (number → bytes) whose files are not there with their full size."""
        ...

    def sizes(self, uid: str) -> dict[int, int]:
        """Return the bytes of an artifact's files by their numbers, whether its manifest names them or not."""
        ...

    def write(self, uid: str, index: int, blocks: Iterable[bytes], *, size_bytes: int, sha256: str) -> None:
        """Store one file, or replace it, in constant memory.

        Raises: InvalidInput when size or hash differ, StorageFull (507) without room. Nothing is kept then, and a file
        that was there stays.
        """
        ...

    def receive(
        self, uid: str, number: int, blocks: Iterable[bytes], *, size_bytes: int | None
    ) -> AbstractContextManager[Received]:
        """Store one file of unknown hash and yield what arrived; the caller records it within the block.

        `number` must be a new one. Memory use is constant. `size_bytes` is what the sender announced, None when it did
        not. The file is kept when the block ends well. When it raises a DomainError nothing is kept; after any other
        error nobody knows whether it was recorded: then its name stays among `abandoned`, and whoever collects those
        looks.

        Raises: BodyCutOff for fewer bytes than announced, StorageFull (507) without room. Nothing is kept then.
        """
        ...

    def link(self, uid: str, number: int, *, to_uid: str, to_number: int) -> None:
        """Give a file a second place, under another artifact, which the store does. Raises: FileNotFoundError."""
        ...

    def delete_file(self, uid: str, number: int) -> None:
        """Remove one file; gone is success."""
        ...

    def delete(self, uid: str) -> None:
        """Remove all files of an artifact; gone is success."""
        ...

    def holds(self, uid: str) -> bool:
        """Tell whether anything of an artifact is there."""
        ...

    def numbers(self, uid: str) -> set[int]:
        """Return the numbers of an artifact's files, whether its manifest names them or not."""
        ...

    def open(self, uid: str, index: int) -> StoredBytes:
        """Open one file for reading. Raises: FileNotFoundError."""
        ...

    def digest(self, uid: str, index: int) -> str:
        """Return the SHA-256 of the stored bytes, which are all read. Raises: FileNotFoundError."""
        ...

    def being_received(self, uid: str) -> set[int]:
        """Return the numbers of an artifact's files that are being received, or were when a process was killed."""
        ...

    def abandoned(self, *, older_than: timedelta) -> dict[str, set[int]]:
        """Return the numbers of files that were begun, or not known to be recorded, so long ago, by artifacts' uids."""
        ...

    def collect_incoming(self, *, older_than: timedelta) -> int:
        """Remove what was begun and not written to for so long; return how many files."""
        ...

    def parts(self, *, after: str, limit: int) -> list[str]:
        """Return the names of some parts of the store, in order, that follow `after`."""
        ...

    def uids_in(self, part: str, *, older_than: timedelta) -> list[str]:
        """Return the uids of artifacts in a part of the store to which no file was added for so long."""
        ...

    def read_mark(self) -> str | None:
        """Return the uid of the installation that the store belongs to; None when nobody has marked it."""
        ...

    def write_mark(self, uid: str) -> None:
        """Let the store belong to an installation. Raises: StorageFull."""
        ...

    def problems(self) -> list[str]:
        """Return why the store cannot be used now, a sentence each; empty when a small file went in and out."""
        ...


def check_place(uid: str, number: int) -> None:
    """Raise ValueError for what cannot become a place of a file."""
    if not UID.fullmatch(uid) or number < 0:
        raise ValueError("not the uid of an artifact")


def read_blocks(stream: Readable) -> Iterator[bytes]:
    """Yield what a stream holds, a block at a time."""
    while block := stream.read(BLOCK_BYTES):
        yield block
