"""Who may call a URL, declared beside every view; `tests/test_structure.py` refuses a URL without it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])


class Access(StrEnum):
    """The kinds of access policy."""

    PUBLIC = "public"  # health, documentation, sign-in
    SIGNED_IN = "signed in"  # what the caller sees is cut by `visible_to`
    OPERATOR = "operator"  # staff
    MONITORING = "staff, or the token of monitoring"
    ATTEMPT = "attempt token"  # runners
    TRACKING = "API token or a run's tracking token"  # MLflow clients


def access(policy: Access) -> Callable[[View], View]:
    """Declare the policy of a view function or class; declaring alone enforces nothing."""

    def declare(view: View) -> View:
        view.access_policy = policy  # type: ignore[attr-defined]
        return view

    return declare
