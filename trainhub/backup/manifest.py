"""What a backup says of itself.

It is written last, and taken away when the new parts of a later backup take their places: a folder without one holds no
whole backup.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from trainhub.errors import DomainError

MANIFEST = "manifest.json"
FORMAT = 1
SECRETS, EXECUTORS = "secrets", "executors.toml"  # in the data folder and in the backup
DUMPS = {"sqlite": "trainhub.sqlite3", "postgresql": "database.dump"}


class BrokenBackup(DomainError):
    """A folder holds no whole backup, or not what its manifest says."""

    code = "broken_backup"


@dataclass(frozen=True)
class Manifest:
    """The state of an installation.

    `hashes`: SHA-256 in hex of the database, the secrets and the file of executors by their paths in the folder; those
    of artifacts are in the database. `migrations`: what had been done to the database, as "app.name".
    `in_object_stores`: artifacts whose bytes are not in the backup.
    """

    made_at: datetime
    version: str
    database: str
    migrations: list[str]
    hashes: dict[str, str]
    store_files: int
    store_bytes: int
    in_object_stores: int

    @property
    def dump(self) -> str:
        """The name of the database's copy in the folder."""
        return DUMPS[self.database]


def hash_files(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of files below `folder`; memory use is one block. Raises: FileNotFoundError."""
    hashes = {}
    for name in names:
        with (folder / name).open("rb") as file:
            hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it whole or not at all."""
    aside = folder / f".{MANIFEST}"
    aside.write_bytes(orjson.dumps({"format": FORMAT, **vars(manifest)}, option=orjson.OPT_INDENT_2))
    aside.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """Return what the backup in `folder` says of itself. Raises: BrokenBackup."""
    try:
        told = orjson.loads((folder / MANIFEST).read_bytes())
        if told.pop("format") != FORMAT:
            raise BrokenBackup(f"The backup in {folder} was made by another version of trainhub.")
        made_at = datetime.fromisoformat(told.pop("made_at")).astimezone(UTC)
        manifest = Manifest(made_at=made_at, **told)
        manifest.dump  # noqa: B018 - an unknown database is a broken manifest
    except FileNotFoundError:
        raise BrokenBackup(f"{folder} holds no whole backup: there is no {MANIFEST}.") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BrokenBackup(f"{folder}/{MANIFEST} cannot be understood: {error}.") from None
    return manifest


def check_hashes(folder: Path, manifest: Manifest) -> None:
    """Compare the database's copy and the secrets with the manifest. Raises: BrokenBackup naming the first file."""
    for name, digest in manifest.hashes.items():
        try:
            is_same = hash_files(folder, [name])[name] == digest
        except FileNotFoundError:
            is_same = False
        if not is_same:
            raise BrokenBackup(f"{folder}/{name} is missing or does not match its SHA-256: the backup is damaged.")
