"""Checks of the data folder, its disk and the store."""

from __future__ import annotations

import functools
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import connection

from artifacts.ownership import installation_uid, is_foreign
from artifacts.storage import MARK, StoreUnavailable, store_problems, stores
from trainhub.doctor.findings import Finding, problem, warning, well
from trainhub.templatetags.formatting import file_size

# Of these, locks between machines are slow or not to be relied upon (statfs names as /proc/mounts has them).
NETWORK = ("nfs", "cifs", "smb", "fuse.", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "9p", "afs")
LITTLE_BYTES, TOO_LITTLE_BYTES = 5 * 1024**3, 500 * 1024**2
LITTLE_SHARE = 0.05
LITTLE_INODES = 10_000
STORES_ASKED_EVERY = 30.0  # seconds, by one process; a bucket costs several requests


def data_folder() -> Iterator[Finding]:
    """Whose the folder is and who can read it."""
    folder = Path(settings.DATA_DIR)
    status = folder.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.getuid():
        seen = f"{folder} belongs to user {status.st_uid}, this command runs as {os.getuid()}."
        yield problem("data folder", seen, "Run the hub and its commands as the folder's owner.")
    elif mode & 0o077:
        yield problem("data folder", f"{folder} has mode {mode:04o}: others can read it.", f"chmod 700 {folder}")
    else:
        yield well("data folder", f"{folder}, mode {mode:04o}")


def secret_files() -> Iterator[Finding]:
    """Who can read the secrets."""
    folder = Path(settings.DATA_DIR, "secrets")
    open_ones = [path for path in folder.iterdir() if path.stat().st_mode & 0o077]
    if open_ones:
        names = " ".join(map(str, open_ones))
        yield problem("secret files", f"Others can read {names}.", f"chmod 600 {names}")
    else:
        yield well("secret files", "readable by their owner alone")


def disk() -> Iterator[Finding]:
    """The kind of disk, and the room on it."""
    kind = file_system_of(Path(settings.DATA_DIR))
    if kind.startswith(NETWORK):
        remedy = "Put TRAINHUB_DATA on a local disk; attempts that other machines need have a folder of their own."
        make = problem if connection.vendor == "sqlite" else warning
        yield make("kind of disk", f"{kind}, over the network: locks do not work reliably there.", remedy)
    else:
        yield well("kind of disk", kind)
    room = shutil.disk_usage(settings.DATA_DIR)
    seen = f"{file_size(room.free)} of {file_size(room.total)} are free"
    remedy = "Free some, set rules for logs and checkpoints on projects, or give the disk more room."
    if room.free < TOO_LITTLE_BYTES:
        yield problem("free space", seen, remedy)
    elif room.free < LITTLE_BYTES or room.free < room.total * LITTLE_SHARE:
        yield warning("free space", seen, remedy)
    else:
        yield well("free space", seen)
    files = os.statvfs(settings.DATA_DIR)
    if files.f_files and files.f_favail < LITTLE_INODES:
        yield warning("free inodes", f"{files.f_favail} files can still be made.", remedy)


def file_system_of(path: Path) -> str:
    """Return the kind of file system that `path` lies on, as /proc/mounts names it; empty where that is not known."""
    place = path.resolve()
    best, kind = "", ""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, name, *_ = line.split(" ")
        if place.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, name
    return kind


def store() -> Iterator[Finding]:
    """Whether artifacts can be stored: a small file is written to every store, read and deleted; asked now and then."""
    said = _said_by_stores(int(time.monotonic() / STORES_ASKED_EVERY))
    for text in said:
        yield problem("artifact store", text, "See docs/operations.md on stores; trainers keep what cannot be sent.")
    if not said:
        yield well("artifact store", "can be written")


@functools.lru_cache(maxsize=1)
def _said_by_stores(moment: int) -> list[str]:  # noqa: ARG001 - the cache's key: asked once for each
    return store_problems()


def store_owner() -> Iterator[Finding]:
    """Whether the stores belong to this database."""
    foreign = _foreign_stores(int(time.monotonic() / STORES_ASKED_EVERY))
    for kind in foreign:
        seen = f"The store {kind} belongs to another installation or database: nothing is removed from it."
        remedy = (
            "See that DATABASE_URL, TRAINHUB_DATA, TRAINHUB_STORE and TRAINHUB_S3 belong together. If the store is "
            f"this hub's and no other uses it, put {installation_uid()} into the file `{MARK}` at its root: then what "
            "this database does not know is removed from it."
        )
        yield problem("store's owner", seen, remedy)
    if not foreign:
        yield well("store's owner", "this installation")


@functools.lru_cache(maxsize=1)
def _foreign_stores(moment: int) -> list[str]:  # noqa: ARG001 - the cache's key: asked once for each
    foreign = []
    for files in stores():
        with suppress(StoreUnavailable):  # `store` says so
            foreign += [files.kind] if is_foreign(files) else []
    return foreign
