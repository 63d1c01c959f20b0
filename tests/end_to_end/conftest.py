"""Hubs for end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.hub import Hub


@pytest.fixture(scope="session")
def shared_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One hub for all tests that do not kill its processes."""
    hub = Hub(data=tmp_path_factory.mktemp("hub"), environment={"TRAINHUB_LOCAL_SLOTS": "8"})
    try:
        yield hub.prepare().start()
    finally:
        hub.stop()


@pytest.fixture
def own_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub of the test's own, whose processes may be killed."""
    hub = Hub(data=tmp_path_factory.mktemp("own-hub"))
    try:
        yield hub.prepare().start()
    finally:
        hub.stop()
