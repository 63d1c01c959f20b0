"""Bodies that the benchmark sends: valid, as large as said, and different from call to call where it matters."""

from __future__ import annotations

import json

import pytest

from benchmarks import bodies
from benchmarks.bodies import Size
from benchmarks.load import Connection, Load, Sender

SIZE = Size(3, 12)


def sent(shape: str, size: Size, calls: int) -> list:
    """Return the bodies that one connection sends in its first calls."""
    variants = [text.encode() for text in bodies.variants(shape, size)]
    load = Load(1, "/", [], 1.0, shape=shape, size=size)
    connection = Connection(load, Sender(token="t", run="r"), variants)
    requests = [connection.next_request() for _ in range(calls)]
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in requests]


@pytest.mark.parametrize("shape", ["metric_columns", "metric_objects", "log_columns", "log_objects", "log_rows"])
def test_batches_are_numbered_from_one(shape):
    assert [body["sequence"] for body in sent(shape, SIZE, 3)] == [1, 2, 3]


def test_columns_hold_as_many_points_as_said():
    (body,) = sent("metric_columns", SIZE, 1)

    assert {key: len(columns["value"]) for key, columns in body["metrics"].items()} == dict.fromkeys(
        ["loss", "grad_norm", "learning_rate"], 12
    )


@pytest.mark.parametrize("shape", ["metric_objects", "mlflow_batch"])
def test_objects_hold_as_many_points_as_said(shape):
    (body,) = sent(shape, SIZE, 1)

    assert len(body["metrics"]) == SIZE.points


def test_steps_go_on_where_the_last_call_ended():
    first, second = (body["metrics"]["loss"]["step"] for body in sent("metric_columns", Size(1, 100), 2))

    assert first + second == list(range(first[0], first[0] + 200))


def test_times_are_milliseconds_of_our_days_and_grow():
    first, second = (body["metrics"]["loss"]["time"] for body in sent("metric_columns", Size(1, 1000), 2))

    assert 1_700_000_000_000 < first[0] < first[-1] < second[0] < second[-1] < 1_800_000_000_000


def test_values_do_not_repeat_within_a_thousand_points_of_a_key():
    values = [value for body in sent("metric_columns", Size(1, 100), 10) for value in body["metrics"]["loss"]["value"]]

    assert len(set(values)) == 1000


def test_lines_have_96_characters():
    (body,) = sent("log_columns", Size(1, 1000), 1)

    assert {len(text) for text in body["lines"]["text"]} == {96}


def test_line_columns_and_line_objects_say_the_same():
    (columns,), (objects,) = sent("log_columns", Size(1, 50), 1), sent("log_objects", Size(1, 50), 1)
    names = ("time", "level", "stream", "text")

    assert list(zip(*(columns["lines"][name] for name in names), strict=True)) == [
        tuple(line[name] for name in names) for line in objects["lines"]
    ]


def test_peers_bodies_name_the_run_of_the_connection():
    (batch,), (bulk,) = sent("mlflow_batch", SIZE, 1), sent("trackio_bulk", SIZE, 1)

    assert (batch["run_id"], bulk["logs"][0]["run_id"]) == ("r", "r")


def test_the_length_that_is_announced_is_that_of_the_body():
    connection = Connection(Load(1, "/", [], 1.0), Sender(run="a run"), [b'{"run":"$RUN$","sequence":@@@@@@@@@@@@}'])

    head, _, body = connection.next_request().partition(b"\r\n\r\n")

    assert f"Content-Length: {len(body)}".encode() in head
