"""How registered models and their aliases may be called, and what may be written about them."""

from __future__ import annotations

import re

from artifacts.models import ModelVersion, RegisteredModel
from trainhub.errors import InvalidInput

MAX_NAME = 256
MAX_ALIAS = 255
MAX_DESCRIPTION = 10_000
MAX_TAG_VALUE = 5000
MAX_TAGS = 200  # of one model or version
_ALIAS = re.compile(r"[\w-]+")
_RESERVED_ALIAS = re.compile(r"latest|v\d+", re.IGNORECASE)


def check_name(name: str) -> str:
    """Return the name of a registered model: up to 256 characters, no `/` or `:`, not blank, `.` or `..`.

    Raises: InvalidInput.
    """
    if not name.strip():
        raise InvalidInput({"name": ["Must not be blank."]})
    if len(name) > MAX_NAME:
        raise InvalidInput({"name": [f"Has {len(name)} characters, at most {MAX_NAME} are taken."]})
    if "/" in name or ":" in name or name in {".", ".."} or not name.isprintable():
        raise InvalidInput({"name": ["Must hold no '/' or ':' or control character, and not be '.' or '..'."]})
    return name


def check_alias(alias: str) -> str:
    """Return an alias: letters, digits, `_` and `-`, up to 255; `latest` and `v1` name versions themselves.

    Raises: InvalidInput.
    """
    if not _ALIAS.fullmatch(alias) or len(alias) > MAX_ALIAS:
        raise InvalidInput({"alias": [f"Must hold letters, digits, _ and - alone, {MAX_ALIAS} at most."]})
    if _RESERVED_ALIAS.fullmatch(alias):
        raise InvalidInput({"alias": ["This alias is reserved."]})
    return alias


def check_description(text: str) -> str:
    """Return a description of up to 10,000 characters. Raises: InvalidInput."""
    if len(text) > MAX_DESCRIPTION:
        raise InvalidInput({"description": [f"Has {len(text)} characters, at most {MAX_DESCRIPTION} are taken."]})
    return text


def put_texts(target: RegisteredModel | ModelVersion, texts: dict[str, str]) -> None:
    """Lay tags over those of a model or version, which is not saved. Raises: InvalidInput beyond MAX_TAGS."""
    merged = {**target.tags, **texts}
    if len(merged) > MAX_TAGS:
        raise InvalidInput({"tags": [f"At most {MAX_TAGS} tags are taken."]})
    target.tags = merged
