"""`manage.py signinlink [USERNAME]`: prints a one-time sign-in link."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from trainhub.operators import first_operator, sign_in_link


class Command(BaseCommand):
    """Makes a link for a person."""

    help = "Print a link that signs a person in once, within the hour; without a name, the operator."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the person's user name."""
        parser.add_argument("username", nargs="?")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it."""
        name = options["username"]
        user = get_user_model().objects.filter(username=name, is_active=True).first() if name else first_operator()
        if user is None:
            raise CommandError(f"There is no active user {name}.")
        self.stdout.write(sign_in_link(user))
