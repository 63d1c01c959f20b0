"""Hubs for end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.hub import Hub

SETTINGS = {
    "TRAINHUB_RECIPES": str(Path(__file__).with_name("recipes")),
    "TRAINHUB_LOCAL_GPUS": "0",  # also on a machine that has some
    "TRAINHUB_LOCAL_SLOTS": "8",
}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with database and token, for API alone, that is never started; others are copied from it."""
    hub = Hub(data=tmp_path_factory.mktemp("prepared"), environment=SETTINGS)
    try:
        yield hub.prepare(with_pages=False)
    finally:
        hub.stop()


@pytest.fixture(scope="session")
def shared_hub(prepared: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One hub for all tests that do not kill its processes."""
    hub = prepared.copy(tmp_path_factory.mktemp("hub"), **SETTINGS)
    try:
        yield hub.start()
    finally:
        hub.stop()


@pytest.fixture
def idle_hub(prepared: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub of the test's own that is not started yet."""
    hub = prepared.copy(tmp_path_factory.mktemp("own-hub"), **SETTINGS)
    try:
        yield hub
    finally:
        hub.stop()


@pytest.fixture
def own_hub(idle_hub: Hub) -> Hub:
    """A hub of the test's own, whose processes may be killed."""
    return idle_hub.start()
