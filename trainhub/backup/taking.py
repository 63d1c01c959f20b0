"""Takes a backup while the hub works."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from artifacts.models import Artifact
from trainhub import __version__
from trainhub.backup.dumps import DumpFailed, dump_database
from trainhub.backup.files import Copied, copy_new_files, remove_gone
from trainhub.backup.listed import deleted_artifacts, lost_artifacts
from trainhub.backup.manifest import DUMPS, EXECUTORS, MANIFEST, SECRETS, Manifest, hash_files, write_manifest
from trainhub.errors import Conflict
from trainhub.schema_state import applied_migrations


def take_backup(folder: Path, *, by_link: bool = False) -> tuple[Manifest, Copied, list[str]]:
    """Bring the installation into `folder`, which holds an earlier backup or nothing; only what is new is copied.

    The list is of artifacts (uids) of which the store has lost the files; what an earlier backup had of them stays.

    The store is gone through before and after the database is copied, so that what was stored and what was deleted
    meanwhile is there; a file that came and was replaced between the two is not. All new parts lie beside those of the
    earlier backup until they are complete, and what it alone needs goes last.

    Raises: Conflict for a folder with something else in it; DumpFailed, BrokenBackup, OSError: then
    the earlier backup is still there.
    """
    _prepare(folder)
    source, target = settings.DATA_DIR / "store", folder / "store"
    before = copy_new_files(source, target, by_link=by_link)
    # Asked before the copy of the database is made: whatever that one lists must stay.
    deleted = _ask_for_deleted(target)
    made_at = timezone.now()
    dump = DUMPS[connection.vendor]
    dump_database(folder / f".{dump}")
    after = copy_new_files(source, target, by_link=by_link)
    lost = lost_artifacts(source)
    names = [dump, *_copy_secrets(folder), *_copy_executors(folder)]
    hashes = hash_files(folder, [f".{name}" for name in names])
    manifest = Manifest(
        made_at=made_at,
        version=__version__,
        database=connection.vendor,
        migrations=sorted(f"{app}.{name}" for app, name in applied_migrations()),
        hashes={name: hashes[f".{name}"] for name in names},
        store_files=after.files,
        store_bytes=after.size_bytes,
        in_object_stores=Artifact.objects.exclude(store="file").count(),
    )
    os.sync()
    _put_in_place(folder, dump)
    write_manifest(folder, manifest)
    remove_gone(source, target, deleted)
    after.new_files += before.new_files
    after.new_bytes += before.new_bytes
    return manifest, after, lost


def _ask_for_deleted(target: Path) -> list[str]:
    """Return the artifacts that the database has no more. Raises: DumpFailed when it cannot be read."""
    try:
        return deleted_artifacts(target)
    except DatabaseError as error:
        raise DumpFailed(f"The database cannot be read: {error}.") from None


def _prepare(folder: Path) -> None:
    """Make the folder, or see that it is one of ours, and remove what an interrupted backup left."""
    data = Path(settings.DATA_DIR)
    if folder.resolve().is_relative_to(data) or data.is_relative_to(folder.resolve()):
        raise Conflict("The backup must lie outside the data folder, best on another disk.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    parts = {MANIFEST, SECRETS, EXECUTORS, *DUMPS.values()}
    strange = {path.name for path in folder.iterdir()} - {"store", *parts, *(f".{name}" for name in parts)}
    if strange:
        raise Conflict(f"{folder} holds something else than a backup: {min(strange)}. Choose another folder.")
    for name in (EXECUTORS, *DUMPS.values()):
        (folder / f".{name}").unlink(missing_ok=True)
    shutil.rmtree(folder / f".{SECRETS}", ignore_errors=True)
    (folder / "store").mkdir(mode=0o700, exist_ok=True)


def _copy_secrets(folder: Path) -> list[str]:
    """Copy the secrets aside, readable by their owner alone; return the paths that they will have in the folder."""
    target = folder / f".{SECRETS}"
    target.mkdir(mode=0o700)
    source = settings.DATA_DIR / SECRETS
    names = sorted(path.name for path in source.iterdir() if path.is_file() and not path.name.startswith("."))
    for name in names:
        shutil.copyfile(source / name, target / name)
        (target / name).chmod(0o600)
    return [f"{SECRETS}/{name}" for name in names]


def _copy_executors(folder: Path) -> list[str]:
    """Copy the data folder's file of executors aside, where there is one; return its name."""
    try:
        shutil.copyfile(settings.DATA_DIR / EXECUTORS, folder / f".{EXECUTORS}")
    except FileNotFoundError:
        return []
    return [EXECUTORS]


def _put_in_place(folder: Path, dump: str) -> None:
    """Put the new parts where those of the earlier backup are; until the new manifest is written it is no whole one."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in (EXECUTORS, *DUMPS.values()):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / SECRETS, ignore_errors=True)
    (folder / f".{dump}").replace(folder / dump)
    (folder / f".{SECRETS}").replace(folder / SECRETS)
    if (folder / f".{EXECUTORS}").exists():
        (folder / f".{EXECUTORS}").replace(folder / EXECUTORS)
