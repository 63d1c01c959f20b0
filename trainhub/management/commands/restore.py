"""`manage.py restore FOLDER`: brings a backup into an empty installation."""

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from trainhub.backup.restoring import count_in_bucket, damaged_artifacts, restore_backup
from trainhub.errors import DomainError


class Command(BaseCommand):
    """Restores a backup. Exit code 1 when artifacts are not whole; those are marked as damaged."""

    help = "Restore a backup into this installation, which must be empty, and compare all bytes with their hashes."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the folder."""
        parser.add_argument("folder", type=Path)
        parser.add_argument("--link", action="store_true", help="Hard links for artifacts instead of copies.")
        parser.add_argument(
            "--with-bucket",
            action="store_true",
            help="Take over the bucket that the settings name; no other hub uses it any more.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Restore, then go through all artifacts."""
        try:
            manifest = restore_backup(
                options["folder"].absolute(), by_link=options["link"], with_bucket=options["with_bucket"]
            )
        except DomainError as error:
            raise CommandError(error.detail) from None
        except OSError as error:
            raise CommandError(
                f"The restore was broken off: {error}. Make room, or mend what that says. Then empty "
                f"{settings.DATA_DIR} and, on PostgreSQL, the database, and start again."
            ) from None
        self.stdout.write(f"Restored as of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC. Comparing artifacts …")
        damaged = 0
        for uid, file in damaged_artifacts():
            damaged += 1
            self.stdout.write(f"{uid}: {file} is missing or damaged.")
        if in_bucket := count_in_bucket():
            self.stdout.write(
                f"{in_bucket} artifacts in an object store were not compared; with that bucket, "
                "manage.py check_store does so."
            )
        if damaged:
            sys.exit(1)
        self.stdout.write(f"All artifacts in {settings.DATA_DIR / 'store'} are whole. Start the hub.")
