"""Which store has what: new artifacts go to the one of the settings, older ones stay where they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.conf import settings

from artifacts.storage.base import ArtifactStore, StoreUnavailable, read_blocks
from artifacts.storage.file import FileStore
from artifacts.storage.s3 import S3Store
from artifacts.storage.s3_client import Bucket, Location

if TYPE_CHECKING:
    from artifacts.models import Artifact


def file_store() -> FileStore:
    """Return the store in the hub's own folder."""
    return FileStore(settings.DATA_DIR / "store")


def s3_store() -> S3Store:
    """Return the store in the bucket. Raises: StoreUnavailable when no setting names one."""
    if settings.S3_BUCKET is None:
        raise StoreUnavailable("The artifact is in an object store, and TRAINHUB_S3 names none.")
    return S3Store(Bucket(Location(*settings.S3_BUCKET, settings.S3_ENDPOINT)))


_KINDS: dict[str, Callable[[], ArtifactStore]] = {FileStore.kind: file_store, S3Store.kind: s3_store}


def store() -> ArtifactStore:
    """Return the store that takes new artifacts."""
    return store_named(settings.STORE)


def store_named(kind: str) -> ArtifactStore:
    """Return the store of a kind, as `Artifact.store` has it. Raises: StoreUnavailable when no setting names one."""
    return _KINDS[kind]()


def store_of(artifact: Artifact) -> ArtifactStore:
    """Return the store that has the bytes of an artifact. Raises: StoreUnavailable when no setting names it."""
    return store_named(artifact.store)


def stores() -> list[ArtifactStore]:
    """Return all stores that may have artifacts."""
    return [file_store(), *([s3_store()] if settings.S3_BUCKET is not None else [])]


def store_problems() -> list[str]:
    """Return why a store cannot be used now, a sentence each; writes, reads and deletes a small file in every one."""
    return [problem for one in stores() for problem in one.problems()]


def copy_file(source: Artifact, number: int, *, to: Artifact, to_number: int, size_bytes: int, sha256: str) -> None:
    """Put a file of one artifact also under another; bytes pass through the hub where their stores differ.

    Outside any transaction. Raises: FileNotFoundError, StorageFull, InvalidInput when the bytes are damaged.
    """
    if source.store == to.store:
        store_of(source).link(source.uid, number, to_uid=to.uid, to_number=to_number)
        return
    with store_of(source).open(source.uid, number) as file:
        blocks = read_blocks(file)
        store_of(to).write(to.uid, to_number, blocks, size_bytes=size_bytes, sha256=sha256)
