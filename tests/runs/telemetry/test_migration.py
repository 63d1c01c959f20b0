"""Logs that were stored before chunks had tallies get them, as if they had been counted from the first line on."""

import importlib

import pytest
from django.apps import apps

from runs.models import LogChunk, TelemetryCounter
from tests.runs.telemetry.builders import append_lines, line, new_attempt
from tests.runs.telemetry.model import small_chunks

pytestmark = pytest.mark.django_db
migration = importlib.import_module("runs.migrations.0003_log_tallies")


def counted(run):
    counter = TelemetryCounter.objects.values("log_tally", "log_open_lines", "log_open_bytes").get(run=run)
    return list(LogChunk.objects.filter(run=run).order_by("first_line").values_list("tally", flat=True)), counter


def test_chunks_without_tallies_are_counted(monkeypatch):
    monkeypatch.setattr(migration, "CHUNKS_AT_ONCE", 2)
    first = new_attempt()
    with small_chunks(lines=2, text_bytes=1000):
        append_lines(attempt=first, sequence=1, lines=[line(level=level) for level in (1, 1, 4, 1, 0)])
        second = new_attempt(first.run, number=2)
        append_lines(attempt=second, sequence=1, lines=[line(stream=1), line(), line()])
    before = counted(first.run)
    LogChunk.objects.update(tally=[])
    TelemetryCounter.objects.update(log_tally=[], log_open_lines=0, log_open_bytes=0)

    migration.tally_chunks(apps, None)

    assert counted(first.run) == before
