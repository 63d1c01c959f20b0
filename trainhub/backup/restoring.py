"""Restores a backup into an empty installation, and compares every stored byte with what the database says of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connection

from artifacts.checking import with_bytes
from artifacts.models import Artifact
from artifacts.storage import store_of
from artifacts.verification import verify_artifact
from trainhub.backup.dumps import is_empty, load_database
from trainhub.backup.files import copy_new_files
from trainhub.backup.manifest import EXECUTORS, SECRETS, BrokenBackup, Manifest, check_hashes, read_manifest
from trainhub.errors import ArtifactDamaged, Conflict
from trainhub.moving.move import lift_time_limits
from trainhub.schema_state import known_migrations


def restore_backup(folder: Path, *, by_link: bool = False, with_bucket: bool = False) -> Manifest:
    """Bring the backup in `folder` into this installation, which is empty. Bytes of artifacts are not compared yet.

    A file of executors that is there already stays.

    Args:
        folder: where the backup is.
        by_link: the store as hard links into the backup, which then must not be changed.
        with_bucket: this installation takes over the bucket that the settings name. The scheduler removes from it what
            its database does not know, so a drill must not have the bucket of the hub that goes on.

    Raises: BrokenBackup, or Conflict where there is something already; nothing is changed then. DumpFailed, OSError.
    """
    if settings.S3_BUCKET is not None and not with_bucket:
        raise Conflict(
            "TRAINHUB_STORE or TRAINHUB_S3 names a bucket. The restored hub would delete from it what the restored "
            "database does not know, such as all that another hub has stored there since the backup. For a drill unset "
            "both; to take the bucket over for good, give --with-bucket."
        )
    manifest = read_manifest(folder)
    _refuse_what_does_not_fit(manifest)
    check_hashes(folder, manifest)
    copy_new_files(folder / "store", settings.DATA_DIR / "store", by_link=by_link)
    _bring_secrets(folder)
    if EXECUTORS in manifest.hashes and not (settings.DATA_DIR / EXECUTORS).exists():
        shutil.copyfile(folder / EXECUTORS, settings.DATA_DIR / EXECUTORS)
    load_database(folder / manifest.dump)
    lift_time_limits(DEFAULT_DB_ALIAS)  # a migration of a large table takes what it takes
    call_command("migrate", verbosity=0, interactive=False)
    return manifest


def damaged_artifacts() -> Iterator[tuple[str, str]]:
    """Hash all bytes of the file store again; yield uid and file of each artifact that is not whole, and mark it so."""
    kept = with_bytes().filter(store="file")
    for artifact in kept.order_by("pk").iterator(chunk_size=100):
        if not _is_whole(artifact):
            try:
                verify_artifact(artifact=artifact)
            except ArtifactDamaged as error:
                yield artifact.uid, str(error.extra["file"])


def count_in_bucket() -> int:
    """Return how many artifacts have their bytes in an object store, which nothing here looks at."""
    return with_bytes().exclude(store="file").count()


def _is_whole(artifact: Artifact) -> bool:
    try:
        return all(
            store_of(artifact).digest(artifact.uid, artifact.file_number(index)) == file["sha256"]
            for index, file in enumerate(artifact.manifest)
        )
    except FileNotFoundError:
        return False


def _refuse_what_does_not_fit(manifest: Manifest) -> None:
    if manifest.database != connection.vendor:
        raise Conflict(f"The backup is of {manifest.database}, DATABASE_URL names {connection.vendor}.")
    known = {f"{app}.{name}" for app, name in known_migrations()}
    ours = {name.partition(".")[0] for name in known}
    newer = [name for name in manifest.migrations if name not in known and name.partition(".")[0] in ours]
    if newer:
        raise BrokenBackup(f"The backup is of a newer version of trainhub ({manifest.version}): it has {newer[-1]}.")
    if not is_empty():
        raise Conflict("The database of this installation is not empty; restore into a new one.")
    if any(settings.DATA_DIR.glob("store/??")) or any(settings.DATA_DIR.glob("attempts/*")):
        raise Conflict(f"{settings.DATA_DIR} holds artifacts or attempts already; restore into a new data folder.")


def _bring_secrets(folder: Path) -> None:
    """Put the backup's secrets in place of those that were made when this command started."""
    target = settings.DATA_DIR / SECRETS
    for path in (folder / SECRETS).iterdir():
        shutil.copyfile(path, target / path.name)
        (target / path.name).chmod(0o600)
