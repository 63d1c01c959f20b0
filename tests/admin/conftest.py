"""Operators at their desk."""

import pytest
from django.test import Client

from tests.factories import new_user


@pytest.fixture
def desk(operator) -> Client:
    """The browser of a superuser."""
    client = Client(headers={"Accept": "text/html"})
    client.force_login(operator)
    return client


@pytest.fixture
def helper_desk(db) -> Client:
    """The browser of a staff member without any permission of Django's."""
    client = Client(headers={"Accept": "text/html"})
    client.force_login(new_user("helga", is_staff=True))
    return client
