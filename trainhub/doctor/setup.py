"""Checks of versions and settings."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import django
from django.conf import settings
from django.core.checks import run_checks
from django.utils import timezone

from trainhub import __version__
from trainhub.backup.manifest import MANIFEST, read_manifest
from trainhub.doctor.findings import Finding, problem, warning, well
from trainhub.errors import DomainError

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
WAITING_FOR_TRANSFER = 2  # requests of a process that may wait for a place (trainhub.transfers)
BACKUP_OLD_AFTER = timedelta(days=2)


def versions() -> Iterator[Finding]:
    """The interpreter and the framework, against what is pinned."""
    seen = f"trainhub {__version__}, Python {platform.python_version()}, Django {django.__version__}"
    pinned = re.search(r"^Django==(\S+)", (settings.BASE_DIR / "requirements.txt").read_text(), re.MULTILINE)
    if pinned and pinned[1] != django.__version__:
        yield warning("versions", f"{seen}; tested with Django {pinned[1]}", "Run make .venv/installed.")
    else:
        yield well("versions", seen)


def address() -> Iterator[Finding]:
    """Who can reach the hub, and whether what they send is encrypted."""
    is_local = settings.BIND in LOOPBACK
    seen = f"{settings.PUBLIC_URL}, listening on {settings.BIND}:{settings.PORT}"
    if settings.IS_HTTPS and not is_local:
        yield warning(
            "address",
            f"{seen}: whoever reaches that address past the proxy is believed to have come by TLS.",
            "Set TRAINHUB_BIND to loopback, or let a firewall pass the proxy alone.",
        )
    elif not settings.IS_HTTPS and not is_local:
        yield warning(
            "address",
            f"{seen}: passwords and tokens cross the network in the clear.",
            "Put a proxy with TLS in front and set TRAINHUB_URL to its https:// address.",
        )
    else:
        yield well("address", seen)
    if "*" in settings.ALLOWED_HOSTS:
        yield warning("host names", "Any host name is answered to.", "Name the hosts in TRAINHUB_ALLOWED_HOSTS.")


def secret_key() -> Iterator[Finding]:
    """The key that signs sessions, links and tokens."""
    given = "TRAINHUB_SECRET_KEY" if os.environ.get("TRAINHUB_SECRET_KEY") else "the data folder's own"
    if len(settings.SECRET_KEY) < 50 or len(set(settings.SECRET_KEY)) < 5:
        remedy = "Unset TRAINHUB_SECRET_KEY to have one made, or set at least 50 random characters."
        yield problem("secret key", f"{given}, which can be guessed", remedy)
    else:
        yield well("secret key", given)


def web_threads() -> Iterator[Finding]:
    """Whether waiting requests and transfers leave threads to everybody else."""
    threads = int(os.environ.get("TRAINHUB_WEB_THREADS", "12"))
    held = settings.MAX_WAITING_REQUESTS + 2 * settings.MAX_TRANSFERS + WAITING_FOR_TRANSFER
    seen = f"{threads} threads in a process, of which waiting requests and transfers may hold {held}"
    if held >= threads:
        remedy = (
            f"Set TRAINHUB_WEB_THREADS to at least {held + 2}, or lower TRAINHUB_MAX_WAITING or TRAINHUB_MAX_TRANSFERS."
        )
        yield problem("web threads", seen, remedy)
    else:
        yield well("web threads", seen)


def backups() -> Iterator[Finding]:
    """The age of the newest backup in the folder that the operator named."""
    if not settings.BACKUPS:
        yield well("backups", "not watched; TRAINHUB_BACKUPS may name the folder that holds them")
        return
    folder = Path(settings.BACKUPS)
    try:
        made = [read_manifest(place).made_at for place in (folder, *folder.glob("*/")) if (place / MANIFEST).exists()]
    except (OSError, DomainError) as error:
        yield problem("backups", f"{folder} cannot be read: {error}", "See to the folder, or make a new backup.")
        return
    if not made:
        yield problem("backups", f"There is no whole backup in {folder}.", "Run manage.py backup into it, every day.")
    elif timezone.now() - max(made) > BACKUP_OLD_AFTER:
        seen = f"The newest backup is of {max(made):%Y-%m-%d %H:%M} UTC."
        yield warning("backups", seen, "See why manage.py backup did not run.")
    else:
        yield well("backups", f"the newest is of {max(made):%Y-%m-%d %H:%M} UTC")


def deployment() -> Iterator[Finding]:
    """What Django itself says of the settings, once the hub is behind TLS."""
    of_executors = "trainhub.W001"  # what runs.checks says, and the check of the executors' file too
    messages = [
        message
        for message in run_checks(include_deployment_checks=settings.IS_HTTPS)
        if not message.is_silenced() and message.id != of_executors
    ]
    for message in messages:
        yield warning("Django's checks", f"{message.msg} ({message.id})", message.hint or "See its documentation.")
    if not messages:
        yield well("Django's checks", "nothing to say")
