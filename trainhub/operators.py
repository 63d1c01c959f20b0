"""The first operator of an installation, and the ways in."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from sesame.utils import get_query_string

from projects.services import create_token

OPERATOR = "operator"


def first_operator() -> Any:
    """Return the operator account that `make up` works with, made at first use without any password."""
    users = get_user_model()
    operator, is_new = users.objects.get_or_create(username=OPERATOR, defaults={"is_staff": True, "is_superuser": True})
    if is_new:
        operator.set_unusable_password()
        operator.save()
    return operator


def sign_in_link(user: Any) -> str:
    """Return a link that signs `user` in once, within the hour."""
    return f"{settings.PUBLIC_URL}/ui/sign-in/link{get_query_string(user)}"


def new_operator_token(name: str) -> str:
    """Return a new API token of the operator."""
    _, secret = create_token(user=first_operator(), name=name)
    return secret
