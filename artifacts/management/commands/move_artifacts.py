"""`manage.py move_artifacts --to s3|file`: moves the bytes of artifacts to another store."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from artifacts.moving import movable_to, move_artifact, only_mover
from artifacts.storage import StoreUnavailable
from artifacts.storage.choice import store_named
from trainhub.errors import Conflict, DomainError


class Command(BaseCommand):
    """Moves artifacts one after the other."""

    help = "Move artifacts to another store. Copies, compares hashes, then removes the old bytes; may be repeated."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the store and whether to move."""
        parser.add_argument("--to", required=True, choices=["s3", "file"], help="where artifacts are to be")
        parser.add_argument("--dry-run", action="store_true", help="only tell what would be moved")

    def handle(self, *args: Any, **options: Any) -> None:
        """Move them, tell of each, and fail at the end if one could not be moved."""
        try:
            problems = store_named(options["to"]).problems()
        except StoreUnavailable as error:
            problems = [error.detail]
        if problems:
            raise CommandError(" ".join(problems))
        try:
            with only_mover():
                self._move(options["to"], is_dry=options["dry_run"])
        except Conflict as error:
            raise CommandError(error.detail) from None

    def _move(self, to: str, *, is_dry: bool) -> None:
        moved = failed = size_bytes = 0
        for artifact in movable_to(to):
            try:
                if not is_dry and not move_artifact(artifact, to=to):
                    self.stdout.write(f"{artifact.uid}: changed meanwhile, left where it is")
                    continue
            except (DomainError, OSError) as error:
                failed += 1
                self.stderr.write(f"{artifact.uid}: not moved: {error}")
                continue
            moved, size_bytes = moved + 1, size_bytes + artifact.size_bytes
            self.stdout.write(f"{artifact.uid}: {artifact.size_bytes} bytes")
        said = "to move" if is_dry else "moved"
        self.stdout.write(f"{moved} artifacts {said}, {size_bytes} bytes, {failed} failed")
        if failed:
            raise CommandError("Some artifacts were not moved; they are where they were.")
