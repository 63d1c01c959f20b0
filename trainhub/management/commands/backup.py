"""`manage.py backup FOLDER`: brings the installation into a folder while the hub works."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from trainhub.backup.dumps import DumpFailed
from trainhub.backup.manifest import MANIFEST
from trainhub.backup.taking import take_backup
from trainhub.errors import DomainError
from trainhub.templatetags.formatting import file_size

NAMED = 5  # artifacts that are missing in the store


class Command(BaseCommand):
    """Takes a backup; a second one into the same folder copies what is new."""

    help = "Back up database, artifacts and secrets into a folder while the hub works. `restore` brings them back."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the folder."""
        parser.add_argument("folder", type=Path)
        parser.add_argument("--link", action="store_true", help="Hard links for artifacts: on the same disk, no room.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Take it and say what it holds."""
        folder = options["folder"].absolute()
        try:
            manifest, copied, lost = take_backup(folder, by_link=options["link"])
        except DumpFailed as error:
            raise CommandError(f"No backup was made: {error.detail} {what_is_there(folder)}") from None
        except DomainError as error:
            raise CommandError(error.detail) from None
        except OSError as error:
            raise CommandError(f"No backup was made: {error}. {what_is_there(folder)}") from None
        self.stdout.write(
            f"{folder}: the {manifest.database} database of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC and "
            f"{manifest.store_files} files of artifacts ({file_size(manifest.store_bytes)}), "
            f"of which {copied.new_files} were new ({file_size(copied.new_bytes)})."
        )
        if manifest.in_object_stores:
            self.stdout.write(
                f"NOT in it: the bytes of {manifest.in_object_stores} artifacts in an object store. "
                "Protect that bucket by its own versioning or replication."
            )
        if lost:
            self.stderr.write(
                f"WARNING: the store has no files of {len(lost)} artifacts that the database lists: "
                f"{', '.join(lost[:NAMED])}{' and more' if len(lost) > NAMED else ''}. "
                f"Is {settings.DATA_DIR / 'store'} mounted? What an earlier backup had of them is still in "
                f"{folder / 'store'}; copy their folders back from there. check_store names each missing file."
            )


def what_is_there(folder: Path) -> str:
    """Return what a backup that failed left in the folder."""
    has_earlier = (folder / MANIFEST).exists()
    return f"{folder} holds the earlier one." if has_earlier else f"{folder} holds no whole backup."
