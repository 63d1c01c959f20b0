"""Where an installation keeps what it writes, and the secrets made when it is first used."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

SECRET_BYTES = 48  # 384 bits, twice what Django asks of SECRET_KEY
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")


class Environment(environ.Env):
    """The environment's variables; one that is no number where it must be is named."""

    def get_value(self, var: str, *args: Any, **options: Any) -> Any:
        """Return the value of a variable. Raises: ImproperlyConfigured."""
        try:
            return super().get_value(var, *args, **options)
        except ValueError:
            raise ImproperlyConfigured(f"{var} must be a number.") from None


def prepare_data_folder(data: Path) -> None:
    """Make the folders below `data` (mode 0700), so that no other user of the machine can read them."""
    for folder in (data, data / "secrets", data / "attempts", data / "store", data / "datasets"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if data.stat().st_uid == os.getuid():
        data.chmod(0o700)  # it may have been there already, open to all


def read_or_make_secret(path: Path) -> str:
    """Return the secret kept in `path`, made at first use with mode 0600.

    Two processes that start at once agree on one secret: the file is linked into place whole, and the
    first one wins. An empty file is refused, as an empty key would sign anything.
    """
    if not path.exists():
        _write_secret_once(path)
    secret = path.read_text().strip()
    if len(secret) < 50:  # Django's own check (security.W009) asks for 50 characters
        raise ValueError(f"{path.name} holds no usable secret: delete the file to have a new one made")
    return secret


def _write_secret_once(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(SECRET_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def read_bucket(url: str, *, name: str = "TRAINHUB_STORE") -> tuple[str, str] | None:
    """Return the bucket of `s3://bucket/prefix` and what all keys begin with; None for an empty text.

    Raises: ImproperlyConfigured for any other text of the variable `name`, without repeating it.
    """
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or parts.query or parts.fragment:
        word = "'file' or " if name == "TRAINHUB_STORE" else ""
        raise ImproperlyConfigured(f"{name} must be {word}of the form s3://bucket/prefix.")
    prefix = parts.path.strip("/")
    return parts.netloc, f"{prefix}/" if prefix else ""
