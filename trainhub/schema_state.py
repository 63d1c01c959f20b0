"""Whether the database has the tables that this code expects: no fewer, and none of a newer version."""

from __future__ import annotations

import functools
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management.base import CommandError
from django.db import Error as DatabaseError
from django.db import connection

Migration = tuple[str, str]  # app label, name


@functools.cache
def known_migrations() -> frozenset[Migration]:
    """Return the migrations that come with this code, by the names of their files; none is imported."""
    return frozenset(
        (app.label, path.stem)
        for app in apps.get_app_configs()
        if app.label not in settings.MIGRATION_MODULES
        for path in Path(app.path, "migrations").glob("[0-9]*.py")
    )


def applied_migrations() -> frozenset[Migration]:
    """Return those that the database has had; none for an empty database. Raises: DatabaseError."""
    with connection.cursor() as cursor:
        if "django_migrations" not in connection.introspection.table_names(cursor):
            return frozenset()
        cursor.execute("SELECT app, name FROM django_migrations")
        return frozenset((str(app), str(name)) for app, name in cursor.fetchall())


def missing_migrations() -> list[str]:
    """Return what `manage.py migrate` would apply. Raises: DatabaseError."""
    return sorted(f"{app}.{name}" for app, name in known_migrations() - applied_migrations())


def unknown_migrations() -> list[str]:
    """Return what a newer version of the hub did to the database. Raises: DatabaseError."""
    ours = {app for app, _ in known_migrations()}
    return sorted(f"{app}.{name}" for app, name in applied_migrations() - known_migrations() if app in ours)


def refuse_unknown_schema() -> None:
    """Raise CommandError where a newer version has changed the database: this code could damage what it keeps.

    A database that is away is no reason to refuse: the process waits for it.
    """
    try:
        unknown = unknown_migrations()
    except DatabaseError:
        return
    if unknown:
        raise CommandError(
            f"The database belongs to a newer version of trainhub (it has {unknown[-1]}). "
            "Start that version again, or restore the backup that was made before the upgrade."
        )
