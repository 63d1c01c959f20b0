"""`manage.py check_store [--hashes]`: compares the store with the database, both ways."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from artifacts.checking import begin_check, step_check
from artifacts.storage import StoreUnavailable

ROW = "{:<10} {:<24} {}"


class Command(BaseCommand):
    """A check of the store by hand; the scheduler does one every day by itself, without hashes."""

    help = (
        "List files of artifacts that are missing or have another size, and bytes in the store that the database does "
        "not know. Ends with 1 when a file is missing or damaged. Nothing is repaired or removed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the wish to read all bytes."""
        parser.add_argument(
            "--hashes",
            action="store_true",
            help="Read all bytes and compare their SHA-256, about 1 s for each GB; what differs is marked damaged.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, printing what is found."""
        check = begin_check(by_command=True, with_hashes=options["hashes"])
        if check is None:
            raise CommandError("Another check has just begun.")
        self.stdout.write(ROW.format("what", "artifact", "file"))
        try:
            while (found := step_check(check)) is not None:
                for finding in found:
                    self.stdout.write(ROW.format(finding.kind, finding.artifact, finding.file))
        except StoreUnavailable as error:
            raise CommandError(f"{error.detail} The check is not complete.") from None
        self.stdout.write(
            f"{check.artifacts} artifacts with {check.files} files, {check.size_bytes} bytes: {check.missing} files "
            f"missing or damaged. In the store, {check.unknown} artifacts that the database does not know."
        )
        if check.missing:
            raise CommandError(f"{check.missing} files are missing or damaged.")
