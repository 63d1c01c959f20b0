"""Sections: made of chunks that are full, once, and never half."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs.models import MetricChunk, MetricSection, TelemetryCounter
from runs.telemetry import sections
from runs.telemetry.fold import fold_run
from runs.telemetry.point_packing import unpack_heads, unpack_selections
from runs.telemetry.sections import make_sections
from runs.telemetry.series import read_series
from tests.runs.telemetry.builders import new_attempt
from tests.runs.telemetry.model import MetricModel, small_chunks
from tests.runs.telemetry.test_fold import send

pytestmark = pytest.mark.django_db


@pytest.fixture
def folded():
    """Seven points of two metrics in chunks of three, and sections of two chunks."""
    attempt = new_attempt()
    with small_chunks(points=3):
        for sequence, key in enumerate(["loss", "accuracy"], start=1):
            send(attempt, sequence, *[(step, 10 * step, float(step)) for step in range(7)], key=key)
        fold_run(run_id=attempt.run_id)
        yield attempt


def test_full_chunks_of_each_metric_are_joined(folded):
    found = MetricSection.objects.order_by("key").values_list("key", "points", "first_step", "last_step", "last_time")

    assert list(found) == [("accuracy", 6, 0, 5, 50), ("loss", 6, 0, 5, 50)]


def test_open_chunk_stays_loose(folded):
    assert list(MetricChunk.objects.filter(is_loose=True).values_list("points", flat=True)) == [1, 1]


def test_section_holds_the_place_and_outline_of_its_chunks(folded):
    section = MetricSection.objects.get(key="loss")
    chunks = MetricChunk.objects.filter(key="loss", is_loose=False).order_by("id")

    assert [head[:4] for head in unpack_heads(section.chunks)] == list(
        chunks.values_list("id", "points", "first_step", "last_step")
    )
    assert unpack_selections([section.outlines]) == unpack_selections([chunk.outline for chunk in chunks])
    assert unpack_selections([section.outline]).steps == [0, 5]


def test_readers_notice_that_a_section_was_made(monkeypatch):
    attempt = new_attempt()
    with small_chunks(points=3, chunks=100):
        send(attempt, 1, *[(step, step, 1.0) for step in range(6)])
        fold_run(run_id=attempt.run_id)
    before = TelemetryCounter.objects.get(run=attempt.run).folds

    with small_chunks(points=3):
        made = make_sections(run_id=attempt.run_id)

    assert (made, TelemetryCounter.objects.get(run=attempt.run).folds) == (1, before + 1)


def test_crash_while_a_section_is_made_changes_nothing_and_it_is_made_later():
    model = MetricModel()
    with small_chunks(points=3):
        model.append([("loss", step, step, 1.0) for step in range(6)])
        model.crash_in_section(None)
        after_crash = MetricSection.objects.count(), MetricChunk.objects.filter(is_loose=True).count()
        model.fold_everything(None)

    assert after_crash == (0, 2)
    assert (MetricSection.objects.count(), MetricChunk.objects.filter(is_loose=True).count()) == (1, 0)


def test_two_callers_join_the_same_chunks_once(monkeypatch):
    attempt = new_attempt()
    make_section = sections.make_section

    def be_overtaken(chunks):
        monkeypatch.setattr(sections, "make_section", make_section)
        make_sections(run_id=attempt.run_id)
        return make_section(chunks)

    with small_chunks(points=3):
        send(attempt, 1, *[(step, step, 1.0) for step in range(6)])
        monkeypatch.setattr(sections, "make_section", be_overtaken)
        fold_run(run_id=attempt.run_id)

    assert MetricSection.objects.count() == 1


def test_only_the_metrics_asked_for_are_joined(folded):
    MetricSection.objects.all().delete()
    MetricChunk.objects.update(is_loose=True)

    make_sections(run_id=folded.run_id, keys=["loss"])

    assert list(MetricSection.objects.values_list("key", flat=True)) == ["loss"]


def test_rows_read_for_a_chart_do_not_grow_with_the_chunks(folded):
    with small_chunks(points=3, unpacked_per_point=0), CaptureQueriesContext(connection) as counted:
        found = read_series(run_id=folded.run_id, keys=["loss"], limit=5)["loss"]

    assert (found.total, found.step[0], found.step[-1]) == (7, 0, 6)
    assert not [query for query in counted if '"payload"' in query["sql"]]


def test_points_of_a_chunk_that_came_late_are_found_inside_a_section():
    attempt = new_attempt()
    with small_chunks(points=3, unpacked_per_point=1):
        send(attempt, 1, *[(step, step, 1.0) for step in (90, 91, 92)])
        fold_run(run_id=attempt.run_id)
        send(attempt, 2, *[(step, step, 1.0) for step in range(9)])
        fold_run(run_id=attempt.run_id)
        found = read_series(run_id=attempt.run_id, keys=["loss"], first_step=2, last_step=90)["loss"]

    assert found.step == [2, 3, 4, 5, 6, 7, 8, 90]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL chooses by its statistics")
def test_neither_folding_nor_a_chart_goes_through_all_chunks_of_a_metric():
    attempt = new_attempt()
    send(attempt, 1, (1, 1, 1.0))
    with CaptureQueriesContext(connection) as counted:
        fold_run(run_id=attempt.run_id, everything=True)
        read_series(run_id=attempt.run_id, keys=["loss"], first_step=1, last_step=5, first_time=1, last_time=5)

    reads = [q["sql"] for q in counted if "SELECT" in q["sql"] and '"runs_metricchunk"."run_id" ' in q["sql"]]
    assert {index_of(sql) for sql in reads} == {"metric_chunk_one_open", "metric_chunk_loose"}


def index_of(sql):
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        plan = " ".join(str(row[3]) for row in cursor.fetchall())
    return plan.split("SEARCH runs_metricchunk USING INDEX ")[1].split(" ")[0]
