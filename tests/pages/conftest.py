"""Browsers of people in every role."""

from __future__ import annotations

import pytest
from django.test import Client


class Browser(Client):
    """Asks for pages as a browser does, with the person's session."""

    def __init__(self, user=None) -> None:
        super().__init__(headers={"Accept": "text/html"})
        if user is not None:
            self.force_login(user)


@pytest.fixture
def browse(request: pytest.FixtureRequest):
    """Return the browser of a role by its name: admin, editor, viewer, stranger, operator or anonymous."""
    return lambda role="editor": Browser(None if role == "anonymous" else request.getfixturevalue(role))
