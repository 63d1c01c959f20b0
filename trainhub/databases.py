"""What a database address means in Django's settings: time-outs, and how a connection notices that its peer is gone."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from trainhub.installation import Environment

env = Environment()


def database_settings(url: str, *, name: str = "DATABASE_URL") -> dict[str, Any]:
    """Return Django's settings for the database that `url` names; what the address itself says goes before ours.

    Args:
        url: as in DATABASE_URL, such as `postgresql://user:password@host/name?sslmode=require` or `sqlite:////path`.
        name: what the address came from, for errors.

    Raises: ImproperlyConfigured, which repeats nothing of the address, as a password may be in it.
    """
    if not url.startswith(_SCHEMES):
        raise ImproperlyConfigured(f"{name} must begin with sqlite: or postgresql:")
    try:
        given: dict[str, Any] = env.db_url_config(url)
    except ValueError:
        text = f"{name} cannot be understood. Write @ : / ? # in a password as %40 %3A %2F %3F %23, a port as digits."
        raise ImproperlyConfigured(text) from None
    own = given.pop("OPTIONS", {})
    if given["ENGINE"] == "django.db.backends.sqlite3":
        given["ENGINE"] = "trainhub.sqlite_queue"
        return {"CONN_MAX_AGE": _CONNECTION_AGE, **given, "OPTIONS": {**_sqlite_options(), **own}}
    # A connection that a restart of the server ended is noticed, and replaced, before the first statement of a request.
    ours = {"CONN_MAX_AGE": _CONNECTION_AGE, "CONN_HEALTH_CHECKS": True}
    return {**ours, **given, "OPTIONS": {**_postgres_options(), **own}}


_SCHEMES = ("sqlite:", "postgresql:", "postgres:", "psql:", "pgsql:")
# A thread keeps its connection this long (seconds): there are never more than threads (docs/adr/0011).
_CONNECTION_AGE = env.int("TRAINHUB_DB_CONNECTION_AGE", default=600)
_LOCK_SECONDS = env.float("TRAINHUB_DB_LOCK_TIMEOUT", default=5)


def _sqlite_options() -> dict[str, Any]:
    return {
        "transaction_mode": "IMMEDIATE",
        "timeout": _LOCK_SECONDS,  # afterwards the caller gets 503
        # FULL: what was answered with 2xx survives a power loss.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000; "
        # 32 MB: a page that is written again and again, such as a chunk that fills, goes to the file once.
        "PRAGMA wal_autocheckpoint=8000;",
    }


def _postgres_options() -> dict[str, Any]:
    limits = {
        "statement_timeout": _milliseconds("TRAINHUB_DB_STATEMENT_TIMEOUT", 30),
        "lock_timeout": int(_LOCK_SECONDS * 1000),
        # A process that hangs in a transaction must not hold its locks for ever.
        "idle_in_transaction_session_timeout": _milliseconds("TRAINHUB_DB_IDLE_TIMEOUT", 60),
        "work_mem": "32MB",  # the sets of runs that lists look into must fit in it; here a million do
    }
    return {
        "application_name": "trainhub",
        "connect_timeout": env.int("TRAINHUB_DB_CONNECT_TIMEOUT", default=5),
        "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
        # A machine that vanished without a word is noticed within 20 s, not after the kernel's two hours.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 15_000,
    }


def _milliseconds(variable: str, seconds: float) -> int:
    return int(env.float(variable, default=seconds) * 1000)
