"""Sessions in the database, as Django keeps them, that tell a database which is away from a session that has gone."""

from __future__ import annotations

from django.contrib.sessions import middleware
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from trainhub.database_errors import is_database_away
from trainhub.error_pages import known_answer


class SessionStore(db.SessionStore):
    """Django's, which takes every error while saving for a session that somebody deleted (400)."""

    def save(self, must_create: bool = False) -> None:  # noqa: FBT001, FBT002 - Django's own signature
        """Write the session. Raises: the database's own error when it is away or locked."""
        try:
            super().save(must_create)
        except UpdateError as error:
            cause = error.__context__
            if isinstance(cause, DatabaseError) and is_database_away(cause):
                raise cause from cause.__cause__
            raise


class SessionMiddleware(middleware.SessionMiddleware):
    """Django's, with 503 for an answer whose session could not be saved: errors of middleware come as 500 otherwise."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Save the session and set its cookie."""
        try:
            return super().process_response(request, response)
        except DatabaseError as error:
            answer = known_answer(request, error)
            if answer is None:
                raise
            return answer
