"""The names that clients give metrics, parameters and tags, and how long names and values may be."""

from __future__ import annotations

import posixpath
import re

from mlflow_api.errors import invalid

MAX_KEY = 250
MAX_PARAM_VALUE = 6000
MAX_TAG_VALUE = 8000
MAX_EXPERIMENT_TAG_VALUE = 20_000
_KEY = re.compile(r"[\w\-./: ]+")


def check_key(key: str) -> str:
    """Return the name of a metric, parameter or tag.

    Letters, digits and `_ - . / :` and space, up to 250; as a path it is normal: no leading or trailing `/`, no `//`,
    no `..`. Raises: MlflowError (400).
    """
    if len(key) > MAX_KEY:
        raise invalid(f"Invalid name: it has {len(key)} characters, at most {MAX_KEY} are taken.")
    if not _KEY.fullmatch(key):
        raise invalid(f"Invalid name {key!r}: it may hold letters, digits and _ - . / : and space.")
    if posixpath.normpath(key) != key or key in {".", ".."} or key.startswith(("/", "../")):
        raise invalid(f"Invalid name {key!r}: as a path it is not normal.")
    return key
