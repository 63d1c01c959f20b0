"""Hubs for end-to-end tests."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.hub import SERVER, Hub

SETTINGS = {
    "TRAINHUB_RECIPES": str(Path(__file__).with_name("recipes")),
    "TRAINHUB_PROGRAMS": str(Path(__file__).with_name("programs")),
    "TRAINHUB_LOCAL_GPUS": "0",  # also on a machine that has some
    "TRAINHUB_LOCAL_SLOTS": "8",
}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with database, static files and token that is never started; others are copied from it.

    On SQLite, the test processes of a session share one: whoever comes first makes it.
    """
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ and not SERVER else place
    hub = Hub(data=place / "prepared", environment=SETTINGS)
    token = place / "prepared-token"
    with (place / "prepared-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if token.exists():
            hub.token = token.read_text()
        else:
            token.write_text(hub.prepare().token)
    yield hub
    hub.stop()


@pytest.fixture(scope="session")
def shared_hub(prepared: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One hub for all tests that do not kill its processes."""
    hub = prepared.copy(tmp_path_factory.mktemp("hub"), with_pages=True)
    try:
        yield hub.start()
    finally:
        hub.stop()


@pytest.fixture
def idle_hub(prepared: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub of the test's own that is not started yet."""
    hub = prepared.copy(tmp_path_factory.mktemp("own-hub"))
    try:
        yield hub
    finally:
        hub.stop()


@pytest.fixture
def own_hub(idle_hub: Hub) -> Hub:
    """A hub of the test's own, whose processes may be killed."""
    return idle_hub.start()
