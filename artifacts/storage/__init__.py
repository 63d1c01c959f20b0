"""The stores of artifacts: the only code that touches their bytes, behind one interface (`base.ArtifactStore`)."""

from artifacts.storage.base import (
    BLOCK_BYTES,
    MARK,
    ArtifactStore,
    BodyCutOff,
    Readable,
    Received,
    StoredBytes,
    StoreUnavailable,
    read_blocks,
)
from artifacts.storage.choice import copy_file, store, store_of, store_problems, stores
from artifacts.storage.file import FileStore

__all__ = [
    "BLOCK_BYTES",
    "MARK",
    "ArtifactStore",
    "BodyCutOff",
    "FileStore",
    "Readable",
    "Received",
    "StoreUnavailable",
    "StoredBytes",
    "copy_file",
    "read_blocks",
    "store",
    "store_of",
    "store_problems",
    "stores",
]
