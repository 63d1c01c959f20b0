"""Public identifiers: a prefix that tells the kind, and random letters and digits."""

from __future__ import annotations

import secrets

from django.urls import register_converter

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
LENGTH = 16  # characters; 36^16 is about 2^82, so that nobody guesses one and none collides


def new_uid(prefix: str) -> str:
    """Return e.g. `run_4k0z…`: `prefix`, an underscore and 16 random letters and digits."""
    return prefix + "_" + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def new_project_uid() -> str:
    """Return a new `proj_…`; a named function, since migrations cannot hold a lambda."""
    return new_uid("proj")


def new_run_uid() -> str:
    """Return a new `run_…`."""
    return new_uid("run")


def new_attempt_uid() -> str:
    """Return a new `att_…`."""
    return new_uid("att")


class UidConverter:
    """Path converter: takes what could be a uid and nothing else (no NUL, no markup, no dots)."""

    regex = r"[a-z]+_[0-9a-zA-Z]{1,40}"

    def to_python(self, value: str) -> str:
        """Return the text as it is."""
        return value

    def to_url(self, value: str) -> str:
        """Return the text as it is."""
        return value


register_converter(UidConverter, "uid")


class UsernameConverter(UidConverter):
    """Path converter for user names, with Django's own rule."""

    regex = r"[\w.@+-]{1,150}"


register_converter(UsernameConverter, "username")
