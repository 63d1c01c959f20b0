"""Which errors of the database pass by themselves; without a web framework, as the scheduler asks too."""

from __future__ import annotations

from django.db import InterfaceError, InternalError, OperationalError


def is_database_away(error: BaseException) -> bool:
    """Tell whether an error says that the database is away, full or locked, or undid the work: all that passes.

    PostgreSQL's class 25 is there too: a session that was ended for idling in a transaction, and a server that takes no
    writes for now, as one that is to take over for another does.
    """
    if isinstance(error, InternalError):
        return str(sqlstate_of(error)).startswith("25")
    return isinstance(error, OperationalError | InterfaceError)


def sqlstate_of(error: BaseException) -> str | None:
    """Return PostgreSQL's code of an error, five characters; None where there is none, as always on SQLite."""
    return getattr(error.__cause__, "sqlstate", None)
