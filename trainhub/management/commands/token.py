"""`manage.py token`: prints a new API token of the operator and nothing else."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from trainhub.operators import new_operator_token


class Command(BaseCommand):
    """Makes a token for scripts."""

    help = "Print a new API token of the operator and nothing else."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a name to know the token by."""
        parser.add_argument("--name", default="made with make token")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it."""
        self.stdout.write(new_operator_token(options["name"][:100]))
