"""Updates compiled once do what the ORM's own do, each time with other values."""

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from runs.models import LogChunk, Run, TelemetryCounter
from runs.telemetry.prepared import PreparedInsert, PreparedRowUpdate, PreparedSelect, PreparedUpdate
from tests.runs.telemetry.builders import new_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def add():
    return PreparedUpdate(
        "run_id",
        "count",
        "below",
        build=lambda run_id, count, below: (
            TelemetryCounter.objects.filter(run_id=run_id, log_lines__lt=below),
            {"log_lines": F("log_lines") + count, "inbox_batches": 7},
        ),
    )


def new_counter():
    return TelemetryCounter.objects.create(run=new_run())


def test_every_call_has_values_of_its_own(add):
    one, other = new_counter(), new_counter()

    found = [
        add.execute(run_id=one.pk, count=5, below=100),
        add.execute(run_id=one.pk, count=-2, below=100),
        add.execute(run_id=other.pk, count=2**40, below=1),
    ]

    assert found == [1, 1, 1]
    assert list(TelemetryCounter.objects.order_by("pk").values_list("log_lines", "inbox_batches")) == [
        (3, 7),
        (2**40, 7),
    ]


def test_rows_that_do_not_match_are_left_alone(add):
    counter = new_counter()

    assert add.execute(run_id=counter.pk, count=1, below=0) == 0
    assert TelemetryCounter.objects.get(pk=counter.pk).log_lines == 0


def test_it_sends_the_statement_of_the_orm(add):
    counter = new_counter()
    with CaptureQueriesContext(connection) as captured:
        add.execute(run_id=counter.pk, count=1, below=2)
        TelemetryCounter.objects.filter(run_id=counter.pk, log_lines__lt=2).update(
            log_lines=F("log_lines") + 1, inbox_batches=7
        )

    assert captured[0]["sql"] == captured[1]["sql"]


def test_an_insert_stores_what_the_orm_would_store():
    run = new_run()
    insert = PreparedInsert(LogChunk)
    values = {"lines": 1, "first_time": 2, "last_time": 3, "earliest_time": 4, "latest_time": 5, "text_bytes": 6}
    rows = [
        LogChunk(run=run, first_line=place, is_late=True, tally=[[1, 0, 1, 2]], payload=b"\0\xff", **values)
        for place in range(3)
    ]
    insert.execute(rows[0])
    insert.execute(rows[1])
    rows[2].save()

    stored = [
        {**row, "payload": bytes(row["payload"])}
        for row in LogChunk.objects.order_by("first_line").values(
            *[f.name for f in LogChunk._meta.fields if f.name not in {"id", "first_line"}]
        )
    ]
    assert stored[0] == stored[1] == stored[2]


def test_a_select_gives_the_rows_of_the_orm_each_time_for_other_values():
    select = PreparedSelect(
        "run_id",
        "least",
        build=lambda run_id, least: (
            LogChunk.objects.filter(run_id=run_id, first_line__gte=least)
            .order_by("first_line")
            .values_list("first_line", "payload")[:2]
        ),
    )
    run = new_run()
    values = {"lines": 1, "first_time": 2, "last_time": 3, "earliest_time": 4, "latest_time": 5, "text_bytes": 6}
    LogChunk.objects.bulk_create([LogChunk(run=run, first_line=n, payload=b"\0%d" % n, **values) for n in range(4)])

    found = [[(first, bytes(payload)) for first, payload in select.rows(run_id=run.pk, least=n)] for n in (0, 3, 4)]

    assert found == [[(0, b"\x000"), (1, b"\x001")], [(3, b"\x003")], []]
    assert select.first(run_id=run.pk, least=9) is None


def test_a_row_update_writes_the_fields_of_the_row_that_its_keys_name():
    update = PreparedRowUpdate(TelemetryCounter, fields=("log_lines", "log_tally"), keys=("run_id",))
    one, other = new_counter(), new_counter()
    one.log_lines, one.log_tally, one.log_bytes = 5, [[1, 0, 1, 5]], 99

    update.execute(one)

    stored = TelemetryCounter.objects.order_by("pk").values_list("pk", "log_lines", "log_tally", "log_bytes")
    assert list(stored) == [(one.pk, 5, [[1, 0, 1, 5]], 0), (other.pk, 0, [], 0)]


def test_a_select_takes_texts_beside_integers_and_constants():
    select = PreparedSelect(
        "uid",
        "least",
        texts=["uid"],
        build=lambda uid, least: Run.objects.filter(uid=uid, pk__gte=least, name="a run").values_list("pk"),
    )
    run, _ = new_run(), new_run()
    Run.objects.update(name="a run")

    found = [select.first(uid=uid, least=least) for uid, least in ((run.uid, run.pk), (run.uid, run.pk + 1), ("", 0))]

    assert found == [(run.pk,), None, None]
