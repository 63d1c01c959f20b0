"""What the tests of several apps share: a project, people in every role, and callers of the API."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as hub_settings
from django.db import connections
from django.test import override_settings

from projects.models import Project, Role
from runs.models import Run
from tests.engines.object_store import S3Server, SharedServer, need_s3
from tests.factories import Caller, add_member, new_project, new_run, new_user
from trainhub import transfers


def pytest_collection() -> None:
    """Make the folder of static files, without which every application that is made warns."""
    Path(hub_settings.STATIC_ROOT).mkdir(exist_ok=True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request: pytest.FixtureRequest) -> None:
    """Give SQLite a test database in a file: threads cannot share one in memory.

    On PostgreSQL its name is this test run's alone, as `make test` has two at a time.
    """
    database = connections["default"].settings_dict
    if connections["default"].vendor == "sqlite":
        database["TEST"]["NAME"] = str(Path(hub_settings.DATA_DIR) / "test.sqlite3")
    else:
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))[:8]
        database["TEST"]["NAME"] = f"test_{database['NAME']}_{run}"
        request.getfixturevalue("django_db_modify_db_settings_parallel_suffix")


@pytest.fixture(scope="session", autouse=True)
def plain_static_files() -> Iterator[None]:
    """Let pages name static files that nobody has collected."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(STORAGES={**hub_settings.STORAGES, "staticfiles": plain}):
        yield


@pytest.fixture(autouse=True)
def quick_waits(settings) -> None:
    """Bound what `Prefer: wait` may take, in seconds, so that a forgotten one does not stop the suite."""
    settings.MAX_WAIT_SECONDS = 0.5


@pytest.fixture(autouse=True)
def free_transfer_places(monkeypatch) -> None:
    """Give every test all places for transfers: a response that a test leaves unread is never closed."""
    for name in ("_uploads", "_downloads"):
        monkeypatch.setattr(transfers, name, threading.BoundedSemaphore(hub_settings.MAX_TRANSFERS))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server, which all test processes of the session share."""
    need_s3()
    place = tmp_path_factory.getbasetemp()
    with SharedServer(place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) as server:
        yield server


@pytest.fixture
def operator(db):
    return new_user("olga", is_staff=True, is_superuser=True)


@pytest.fixture
def admin(db):
    return new_user("ada")


@pytest.fixture
def project(admin) -> Project:
    return new_project(by=admin, name="Summaries")


@pytest.fixture
def editor(project):
    return add_member(project, "edith", Role.EDITOR)


@pytest.fixture
def viewer(project):
    return add_member(project, "vera", Role.VIEWER)


@pytest.fixture
def stranger(db):
    """A person with a project of her own and no part in `project`."""
    user = new_user("sten")
    new_project(by=user, name="Elsewhere")
    return user


@pytest.fixture
def run(project) -> Run:
    """A queued run."""
    return new_run(project)


@pytest.fixture
def anonymous(db) -> Caller:
    return Caller()


@pytest.fixture
def as_operator(operator) -> Caller:
    return Caller(operator)


@pytest.fixture
def as_admin(admin) -> Caller:
    return Caller(admin)


@pytest.fixture
def as_editor(editor) -> Caller:
    return Caller(editor)


@pytest.fixture
def as_viewer(viewer) -> Caller:
    return Caller(viewer)


@pytest.fixture
def as_stranger(stranger) -> Caller:
    return Caller(stranger)


@pytest.fixture
def call_as(request: pytest.FixtureRequest):
    """Return the caller of a role by its name, for parametrized tests."""
    return lambda role: request.getfixturevalue(role if role == "anonymous" else f"as_{role}")
