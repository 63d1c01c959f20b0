"""A server of PostgreSQL for each file of tests, and a hub on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.conftest import SETTINGS
from tests.end_to_end.hub import Hub
from tests.engines.postgres import Postgres, need_postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server that tests may stop, and start again."""
    need_postgres()
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="module")
def hub(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A running hub on the server. Locks are given up after a second."""
    quick = {"TRAINHUB_DB_LOCK_TIMEOUT": "1", "TRAINHUB_LOCAL_SLOTS": "4"}
    hub = Hub(data=tmp_path_factory.mktemp("hub"), server=server.url, environment={**SETTINGS, **quick})
    try:
        yield hub.prepare().start()
    finally:
        hub.stop()
