"""Who calls the API: a bearer token, or the browser session (DRF's own)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from rest_framework.exceptions import AuthenticationFailed

from projects.models import ApiToken
from projects.services import usable_tokens


class BearerAuthentication(TokenAuthentication):
    """`Authorization: Bearer <token>`, found by its hash in one indexed query."""

    def authenticate_credentials(self, token: bytes) -> tuple[Any, ApiToken]:
        """Return the user and the token. Unknown, expired and malformed tokens get the same 401."""
        digest = hash_token(token.decode("ascii", errors="replace"))
        found = usable_tokens().select_related("user").filter(digest=digest).first()
        if found is None:
            raise AuthenticationFailed("The token is not known, has expired or was revoked.")
        return found.user, found


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes the token."""

    target_class = "trainhub.api.authentication.BearerAuthentication"
    name = "bearer"
    priority = 1

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002 - signature of the base class
        """Return the security scheme."""
        return {"type": "http", "scheme": "bearer"}
