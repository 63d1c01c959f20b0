"""Several senders, a folder and a reader at once: every line and point is there once."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext

import pytest
from django.db import connection, connections, transaction

from runs.models import MetricBatch, TelemetryCounter
from runs.telemetry.append import append_metrics, store_points
from runs.telemetry.fold import fold_run
from runs.telemetry.log_pages import follow
from runs.telemetry.packing import pack_batch
from runs.telemetry.points import Points
from runs.telemetry.series import read_series
from tests.runs.telemetry.builders import append_lines, columns, line, new_attempt
from tests.runs.telemetry.model import small_chunks

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("database_for_threads"),
]

BATCHES = 12
LINES = 7


@pytest.fixture
def database_for_threads(transactional_db, tmp_path):
    """A database that other threads see; SQLite's in memory is not one."""
    with {"sqlite": copied_to, "postgresql": nullcontext}[connection.vendor](tmp_path):
        yield


@contextmanager
def copied_to(folder):
    """The tables of the tests' database in memory, in a file as in production."""
    memory, before = connections["default"], connections.settings["default"]
    memory.ensure_connection()
    with closing(sqlite3.connect(folder / "copy.sqlite3")) as copy:
        memory.connection.backup(copy)
    connections.settings["default"] = {**before, "NAME": str(folder / "copy.sqlite3")}
    connections["default"] = connections.create_connection("default")
    try:
        yield
    finally:
        connections["default"].close()
        connections.settings["default"], connections["default"] = before, memory


def together(*jobs):
    """Run the jobs at the same time; each has a connection of its own."""

    def run(job):
        try:
            return job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(run, job) for job in jobs]]


def sender_of_lines(attempt):
    def send():
        for sequence in range(1, BATCHES + 1):
            batch = [line(text=f"{attempt.number} {sequence} {place}") for place in range(LINES)]
            append_lines(attempt=attempt, sequence=sequence, lines=batch)

    return send


def sender_of_points(attempt):
    def send():
        for sequence in range(1, BATCHES + 1):
            points = columns((2 * sequence, sequence, 1.0), (2 * sequence + 1, sequence, 1.0))
            append_metrics(attempt=attempt, sequence=sequence, columns={"loss": points})

    return send


def client_of_points(run_id):
    """Sends what `sender_of_points` does, as clients do that may repeat it."""

    def send():
        for number in range(1, BATCHES + 1):
            points = {"loss": Points.checked(columns((2 * number, number, 1.0), (2 * number + 1, number, 1.0)))}
            payload = pack_batch(points)
            with transaction.atomic():
                store_points(run_id=run_id, attempt_number=1, payload=payload, count=2, may_repeat=True)

    return send


def folder(run_id):
    def fold():
        return sum(fold_run(run_id=run_id) for _ in range(BATCHES))

    return fold


def reader(run_id):
    def read():
        return [read_series(run_id=run_id, keys=["loss"])["loss"].step for _ in range(BATCHES)]

    return read


def test_lines_of_two_runs_sent_at_once_are_all_stored_in_order():
    first, second = new_attempt(), new_attempt()

    with small_chunks():
        together(sender_of_lines(first), sender_of_lines(second))

    stored = [follow(run_id=attempt.run_id, after=0, limit=1000) for attempt in (first, second)]
    expected = [f"1 {sequence} {place}" for sequence in range(1, BATCHES + 1) for place in range(LINES)]
    assert [[one.message for one in lines] for lines in stored] == [expected, expected]


def test_same_batches_sent_twice_at_once_are_stored_once():
    attempt = new_attempt()

    with small_chunks():
        together(sender_of_lines(attempt), sender_of_lines(attempt), sender_of_lines(attempt))

    lines = follow(run_id=attempt.run_id, after=0, limit=1000)
    assert [one.number for one in lines] == list(range(BATCHES * LINES))
    assert len({one.message for one in lines}) == BATCHES * LINES


def test_points_sent_while_two_fold_are_neither_lost_nor_doubled():
    attempt = new_attempt()

    with small_chunks():
        together(sender_of_points(attempt), folder(attempt.run_id), folder(attempt.run_id))
        fold_run(run_id=attempt.run_id, everything=True)

    counter = TelemetryCounter.objects.get(run=attempt.run)
    series = read_series(run_id=attempt.run_id, keys=["loss"])["loss"]
    assert series.step == list(range(2, 2 * BATCHES + 2))
    assert (counter.metric_points, counter.inbox_points, counter.inbox_batches) == (2 * BATCHES, 0, 0)
    assert not MetricBatch.objects.filter(run=attempt.run).exists()


def test_points_that_a_client_sends_twice_while_two_fold_are_stored_once():
    attempt = new_attempt()

    with small_chunks():
        client = client_of_points(attempt.run_id)
        together(client, client, folder(attempt.run_id), folder(attempt.run_id))
        fold_run(run_id=attempt.run_id, everything=True)

    counter = TelemetryCounter.objects.get(run=attempt.run)
    series = read_series(run_id=attempt.run_id, keys=["loss"])["loss"]
    assert series.step == list(range(2, 2 * BATCHES + 2))
    assert (counter.metric_points, counter.newest_points, counter.inbox_points) == (2 * BATCHES, 2 * BATCHES, 0)


def test_reader_sees_every_point_stored_before_it_began():
    attempt = new_attempt()

    with small_chunks():
        _, _, seen = together(sender_of_points(attempt), folder(attempt.run_id), reader(attempt.run_id))

    assert seen == sorted(seen, key=len)
    assert all(steps == list(range(2, 2 + len(steps))) for steps in seen)
