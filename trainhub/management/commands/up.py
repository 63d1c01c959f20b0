"""`manage.py up`: prepares the installation, prints the ways in, and becomes the keeper of web and scheduler."""

import errno
import hashlib
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS
from django.db import Error as DatabaseError

from projects.models import Project
from trainhub.moving.move import lift_time_limits
from trainhub.operators import first_operator, new_operator_token, sign_in_link
from trainhub.quickstart import create_quickstart
from trainhub.schema_state import refuse_unknown_schema

MIN_FREE_BYTES = 500 * 1024 * 1024


class Command(BaseCommand):
    """Starts the hub on this machine."""

    help = "Prepare the database, print a sign-in link and a token, and run web and scheduler until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the wish for silence."""
        parser.add_argument("--quiet", action="store_true", help="Print no link and no token, for service managers.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, greet, run."""
        check_port()
        check_disk()
        prepare_database()
        prepare_static_files()
        operator = first_operator()
        if not Project.objects.exists() and operator.last_login is None and not quickstart_was_made():
            create_quickstart(operator)
            quickstart_mark().touch()
        if not options["quiet"]:
            self.greet(operator)
        keeper = [sys.executable, "-S", "-m", "trainhub.keeper"]
        sys.stdout.flush()
        os.environ["TRAINHUB_DATA"] = str(settings.DATA_DIR)  # a relative path means another place after the next line
        os.chdir(settings.BASE_DIR)
        os.execv(keeper[0], keeper)  # noqa: S606 - our own program; exec gives back this process's memory

    def greet(self, operator: Any) -> None:
        """Print where the hub is and how to get in."""
        self.stdout.write(
            f"""
trainhub is starting at {settings.PUBLIC_URL}

  Sign in once, within the hour:  {sign_in_link(operator)}
  API token of the operator:      {new_operator_token("made with make up")}

  Data is kept in {settings.DATA_DIR}. Ctrl-C stops the hub; runs go on.
"""
        )


def quickstart_mark() -> Path:
    """Return the file that says that the quickstart was made once."""
    return Path(settings.DATA_DIR) / "quickstart-made"


def quickstart_was_made() -> bool:
    """Tell whether this installation had its quickstart; a deleted one does not come back."""
    return quickstart_mark().exists()


def check_port() -> None:
    """Refuse to start where something listens already."""
    with socket.socket(socket.AF_INET6 if ":" in settings.BIND else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.BIND, settings.PORT))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CommandError(
                    f"Port {settings.PORT} is taken: is trainhub running already? "
                    f"Choose another one with TRAINHUB_PORT={settings.PORT + 1} make up"
                ) from None
            raise CommandError(f"Cannot listen on {settings.BIND}:{settings.PORT}: {error.strerror}.") from None


def check_disk() -> None:
    """Refuse to start on a disk that is nearly full."""
    free = shutil.disk_usage(settings.DATA_DIR).free
    if free < MIN_FREE_BYTES:
        raise CommandError(
            f"Only {free // 2**20} MiB are free where {settings.DATA_DIR} lies; "
            f"trainhub wants {MIN_FREE_BYTES // 2**20} MiB. Free some, or choose another place with TRAINHUB_DATA."
        )


def prepare_database() -> None:
    """Apply migrations."""
    refuse_unknown_schema()
    try:
        lift_time_limits(DEFAULT_DB_ALIAS)  # a migration of a large table takes what it takes
        call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as error:
        raise CommandError(f"The database cannot be used: {error}") from None


def prepare_static_files() -> None:
    """Collect the static files when they are new or changed."""
    mark = settings.DATA_DIR / "static-collected"
    digest = static_digest()
    if mark.exists() and mark.read_text() == digest and settings.STATIC_ROOT.is_dir():
        return
    call_command("collectstatic", verbosity=0, interactive=False, clear=True)
    mark.write_text(digest)


def static_digest() -> str:
    """Return a hash over our static files and the pinned packages that bring their own."""
    total = hashlib.sha256((settings.BASE_DIR / "requirements.txt").read_bytes())
    for folder in settings.STATICFILES_DIRS:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()
