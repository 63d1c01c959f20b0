"""Old code does not touch a database that a newer version has changed."""

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from trainhub import schema_state

pytestmark = pytest.mark.django_db


def test_after_migrate_nothing_is_missing_or_unknown():
    assert schema_state.missing_migrations() == []
    assert schema_state.unknown_migrations() == []


def test_migrations_of_an_app_that_is_not_installed_here_are_nobodys_business():
    MigrationRecorder(connection).record_applied("elsewhere", "0001_initial")

    assert schema_state.unknown_migrations() == []


@pytest.mark.parametrize("command", ["scheduler", "up"])
def test_a_process_of_an_older_version_refuses_to_start(command, monkeypatch):
    MigrationRecorder(connection).record_applied("runs", "9999_from_the_future")
    monkeypatch.setattr("trainhub.management.commands.up.check_port", lambda: None)

    with pytest.raises(CommandError, match=r"newer version of trainhub \(it has runs.9999_from_the_future\)"):
        call_command(command)


def test_a_database_that_is_away_is_waited_for(monkeypatch):
    def away():
        raise OperationalError("gone")

    monkeypatch.setattr(connection, "cursor", away)

    schema_state.refuse_unknown_schema()
