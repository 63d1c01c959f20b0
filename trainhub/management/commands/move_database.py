"""`manage.py move_database`: moves the installation into another, empty database, and proves that it did."""

import os
import time
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from artifacts.ownership import forget_installation
from trainhub.databases import database_settings
from trainhub.management.commands.up import check_port
from trainhub.moving.move import CannotMove, TableReport, check_is_empty, lift_time_limits, move
from trainhub.moving.tables import Table, moved_tables
from trainhub.moving.users import users_of

TARGET = "target"
TO = "TRAINHUB_MOVE_TO"
ROW = "{:<34} {:>12} {:>12}  {:<16} {:<16} {}"


class Command(BaseCommand):
    """Moves an installation between SQLite and PostgreSQL, in either direction."""

    help = (
        "Copy everything from the database that the settings name into another, empty one, compare counts and digests, "
        "and print them. The hub must be stopped; runs may go on. The old database keeps everything but the uid by "
        "which stores know it: started by mistake, it removes nothing from them. "
        "Sessions are left behind: people sign in again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the database to move to."""
        parser.add_argument(
            "--to",
            metavar="URL",
            help=f"As DATABASE_URL; it must exist and be empty. With a password in it, set {TO} instead: all users of "
            "a machine can read the arguments of its processes.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, prepare, copy, compare."""
        add_target(options["to"] or os.environ.get(TO, ""))
        try:
            check_stopped()
            tables = moved_tables(DEFAULT_DB_ALIAS)
            check_is_empty(TARGET, tables)
            lift_time_limits(TARGET)
            call_command("migrate", database=TARGET, verbosity=0, interactive=False)
            self.copy(tables)
        except CannotMove as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"Nothing was moved: {error}") from None

    def copy(self, tables: list[Table]) -> None:
        """Copy, and print a line for each table. Raises: CommandError when something differs; nothing is kept then."""
        started = time.monotonic()
        self.stdout.write(ROW.format("table", "rows here", "rows there", "digest here", "digest there", ""))
        reports = []
        for report in move(DEFAULT_DB_ALIAS, TARGET, tables):
            self.stdout.write(line_of(report))
            reports.append(report)
        if different := [report.table for report in reports if not report.is_same]:
            raise CommandError(f"Nothing was moved: {', '.join(different)} came out different.")
        forget_installation(DEFAULT_DB_ALIAS)
        with connections[TARGET].cursor() as cursor:
            cursor.execute("ANALYZE")
        rows, seconds = sum(report.rows_before for report in reports), time.monotonic() - started
        self.stdout.write(
            f"{rows:,} rows of {len(reports)} tables were moved and are the same, in {seconds:.1f} s "
            f"({rows / seconds:,.0f} rows/s). From now on start the hub, and every command, with the new DATABASE_URL; "
            "put the old database out of the way."
        )


def line_of(report: TableReport) -> str:
    """Return the line of a table."""
    digests = report.digest_before[:16], report.digest_after[:16]
    verdict = "same" if report.is_same else "DIFFERENT"
    return ROW.format(report.table, report.rows_before, report.rows_after, *digests, verdict)


def add_target(url: str) -> None:
    """Make the database known under the name TARGET. Raises: CommandError for an address that is none."""
    if not url:
        raise CommandError(f"Name the database to move to with {TO} or --to.")
    try:
        wanted = database_settings(url, name="The address")
    except ImproperlyConfigured as error:
        raise CommandError(f"{error} It is one as in DATABASE_URL, such as postgresql://user@host/name.") from None
    if not str(wanted.get("NAME")):
        raise CommandError("The address names no database.")
    present = connections.settings[DEFAULT_DB_ALIAS]
    if [present[key] for key in ("NAME", "HOST", "PORT")] == [wanted.get(key, "") for key in ("NAME", "HOST", "PORT")]:
        raise CommandError("The address names the database that is in use.")
    connections.settings[TARGET] = connections.configure_settings({DEFAULT_DB_ALIAS: present, TARGET: wanted})[TARGET]


def check_stopped() -> None:
    """Refuse while the hub runs, or when its database is of another version. Raises: CommandError."""
    try:
        check_port()
    except CommandError:
        raise CommandError("Something listens at the hub's port. Stop the hub first; runs may go on.") from None
    executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("The database lacks migrations of this version. Apply them first: manage.py migrate.")
    if users := users_of(DEFAULT_DB_ALIAS):
        raise CommandError("The database is in use. Stop the hub first; runs may go on. " + "; ".join(users))
