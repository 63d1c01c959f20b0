"""Logs and metrics as runners send them: in order, each batch once."""

import math

import pytest

from runs.telemetry.log_pages import follow
from runs.telemetry.log_ranges import count_lines
from runs.telemetry.series import read_series
from tests.factories import everything, new_attempt, run_path, runner_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def attempt(project):
    return new_attempt(project=project)


@pytest.fixture
def send(attempt):
    return lambda place, body: runner_of(attempt).call("POST", f"/node/{place}", body)


def lines(sequence, *texts, time=1_000_000):
    count = len(texts)
    columns = {"time": [time] * count, "level": [1] * count, "stream": [0] * count, "text": list(texts)}
    return {"sequence": sequence, "lines": columns}


def line(time=0, level=1, stream=0, text="good"):
    return {"time": time, "level": level, "stream": stream, "text": text}


def points(sequence, *values, key="loss"):
    steps = list(range(len(values)))
    return {"sequence": sequence, "metrics": {key: {"step": steps, "time": steps, "value": list(values)}}}


BATCHES = {
    "logs": lambda sequence: lines(sequence, f"batch {sequence}"),
    "metrics": lambda sequence: points(sequence, 1.0),
}
BOTH = pytest.mark.parametrize("place", ["logs", "metrics"])


def stored(attempt):
    series = read_series(run_id=attempt.run_id, keys=["loss"], limit=10_000)
    return count_lines(attempt.run_id), sum(found.total for found in series.values())


@BOTH
def test_batches_are_stored_in_order_and_acknowledged(send, attempt, place):
    acknowledged = [send(place, BATCHES[place](sequence)).json()["sequence"] for sequence in (1, 2, 3)]

    assert acknowledged == [1, 2, 3]
    assert max(stored(attempt)) == 3


@BOTH
def test_a_batch_sent_again_is_accepted_and_changes_nothing(send, attempt, place):
    send(place, BATCHES[place](1))
    send(place, BATCHES[place](2))
    before = everything()

    again = send(place, BATCHES[place](1))

    assert (again.status_code, again.json()) == (200, {"sequence": 2})
    assert everything() == before


@BOTH
def test_a_gap_is_409_and_names_what_is_wanted(send, attempt, place):
    send(place, BATCHES[place](1))
    before = everything()

    answer = send(place, BATCHES[place](3))

    assert (answer.status_code, answer.json()["code"], answer.json()["expected"]) == (409, "sequence_gap", 2)
    assert everything() == before


@BOTH
def test_an_empty_batch_takes_its_number(send, place):
    empty = {"sequence": 1, "lines": [], "metrics": {}}

    assert send(place, empty).json() == {"sequence": 1}


ODD_LINES = [
    {"time": "0"},
    {"time": -1},
    {"time": 2**63},
    {"time": 1.5},
    {"level": 5},
    {"level": -1},
    {"level": True},
    {"stream": 3},
    {"stream": None},
    {"text": 1},
    {"text": None},
    {"text": "x" * 40_000},
    {"text": "a\x00b"},
]


@pytest.mark.parametrize("odd", [*ODD_LINES, {"more": 1}], ids=str)
def test_a_bad_line_refuses_the_whole_batch(send, attempt, odd):
    before = everything()

    answer = send("logs", {"sequence": 1, "lines": [line(), {**line(), **odd}]})

    assert answer.status_code == 400
    assert everything() == before


@pytest.mark.parametrize("odd", ODD_LINES, ids=str)
def test_a_bad_value_in_a_column_refuses_the_whole_batch(send, attempt, odd):
    before = everything()
    columns = {name: [value, odd.get(name, value)] for name, value in line().items()}

    answer = send("logs", {"sequence": 1, "lines": columns})

    assert answer.status_code == 400
    assert everything() == before


@pytest.mark.parametrize("odd", [None, "x", 1, [0, 1, 0, "x"], [], {}, {"time": 0}], ids=str)
def test_what_is_no_line_refuses_the_whole_batch(send, attempt, odd):
    before = everything()

    answer = send("logs", {"sequence": 1, "lines": [line(), odd]})

    assert answer.status_code == 400
    assert everything() == before


@pytest.mark.parametrize(
    "columns",
    [
        None,
        "x",
        {},
        {"time": [0], "level": [1], "stream": [0]},
        {"time": [0], "level": [1], "stream": [0], "text": ["x"], "more": [1]},
        {"time": [0], "level": [1, 1], "stream": [0], "text": ["x"]},
        {"time": 0, "level": 1, "stream": 0, "text": "x"},
        {"time": [[0]], "level": [1], "stream": [0], "text": ["x"]},
    ],
    ids=str,
)
def test_bad_columns_of_lines_refuse_the_whole_batch(send, attempt, columns):
    before = everything()

    answer = send("logs", {"sequence": 1, "lines": columns})

    assert answer.status_code == 400
    assert everything() == before


def test_lines_come_as_objects_too(send, attempt):
    send("logs", {"sequence": 1, "lines": [line(5, 3, 1, "one"), line(6, 1, 0, "two")]})

    stored_lines = follow(run_id=attempt.run_id, after=0, limit=10)
    assert [(one.time_us, one.level, one.stream, one.message) for one in stored_lines] == [
        (5, "ERROR", "stderr", "one"),
        (6, "INFO", "stdout", "two"),
    ]


def test_lines_come_as_rows_from_runners_that_were_started_before_an_upgrade(send, attempt):
    send("logs", {"sequence": 1, "lines": [[5, 3, 1, "one"], [6, 1, 0, "two"]]})

    assert [one.message for one in follow(run_id=attempt.run_id, after=0, limit=10)] == ["one", "two"]


@pytest.mark.parametrize(
    "row", [[], [0, 1, 0], [0, 1, 0, "x", 1], [0, 1, 0, None], [0, 9, 0, "x"], [[0], 1, 0, "x"]], ids=str
)
def test_a_bad_row_refuses_the_whole_batch(send, attempt, row):
    before = everything()

    answer = send("logs", {"sequence": 1, "lines": [[0, 1, 0, "x"], row]})

    assert answer.status_code == 400
    assert everything() == before


def point(key="loss", step=1, time=1, value=1.0):
    return {"key": key, "step": step, "time": time, "value": value}


def test_points_come_as_objects_too(send, attempt):
    send(
        "metrics", {"sequence": 1, "metrics": [point(value=3), point("lr"), point(step=2, value="NaN"), point(step=3)]}
    )

    found = read_series(run_id=attempt.run_id, keys=["loss", "lr"])
    assert (found["loss"].step, found["lr"].value) == ([1, 2, 3], [1.0])
    assert (found["loss"].value[0], math.isnan(found["loss"].value[1])) == (3.0, True)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        "x",
        {"key": None},
        {"key": 1},
        {"key": ["loss"]},
        {"key": ""},
        {"key": "a\x00b"},
        {"step": 1.5},
        {"step": True},
        {"time": -1},
        {"value": None},
        {"value": "1"},
        {"value": [1]},
        {"more": 1},
    ],
    ids=str,
)
def test_a_bad_point_refuses_the_whole_batch(send, attempt, odd):
    before = everything()
    bad = {**point(), **odd} if isinstance(odd, dict) else odd

    answer = send("metrics", {"sequence": 1, "metrics": [point(), bad]})

    assert answer.status_code == 400
    assert everything() == before


@pytest.mark.parametrize(
    "metrics",
    [
        None,
        "x",
        {"loss": []},
        {"loss": {"step": [1], "value": [1]}},
        {"loss": {"step": [1], "time": [1], "value": [1], "more": [1]}},
        {"loss": {"step": [1, 2], "time": [1], "value": [1]}},
        {"loss": {"step": 1, "time": 1, "value": 1}},
        {"loss": {"step": [1.5], "time": [1], "value": [1]}},
        {"loss": {"step": [True], "time": [1], "value": [1]}},
        {"loss": {"step": [2**63], "time": [1], "value": [1]}},
        {"loss": {"step": [1], "time": [-1], "value": [1]}},
        {"loss": {"step": [1], "time": [2**62], "value": [1]}},
        {"loss": {"step": [1], "time": [1], "value": ["1"]}},
        {"loss": {"step": [1], "time": [1], "value": ["nan"]}},
        {"loss": {"step": [1], "time": [1], "value": [None]}},
        {"loss": {"step": [1], "time": [1], "value": [[1]]}},
        {"loss": {"step": [1], "time": [1], "value": [True]}},
        {"": {"step": [1], "time": [1], "value": [1]}},
        {"x" * 251: {"step": [1], "time": [1], "value": [1]}},
        {"a\nb": {"step": [1], "time": [1], "value": [1]}},
        {"a\u202eb": {"step": [1], "time": [1], "value": [1]}},
    ],
)
def test_bad_metrics_refuse_the_whole_batch(send, attempt, metrics):
    before = everything()

    answer = send("metrics", {"sequence": 1, "metrics": metrics})

    assert answer.status_code == 400
    assert everything() == before


@BOTH
@pytest.mark.parametrize("sequence", [0, -1, 1.0, "1", None, True, 2**53 + 1, [1]])
def test_a_bad_sequence_is_400(send, attempt, place, sequence):
    before = everything()

    answer = send(place, {**BATCHES[place](1), "sequence": sequence})

    assert (answer.status_code, list(answer.json())[-1]) == (400, "sequence")
    assert everything() == before


@pytest.mark.parametrize(
    ("place", "body"),
    [
        ("logs", lines(1, *["x"] * 10_001)),
        ("logs", {"sequence": 1, "lines": [line()] * 10_001}),
        ("metrics", points(1, *[1.0] * 10_001)),
        ("metrics", {"sequence": 1, "metrics": [point()] * 10_001}),
    ],
    ids=["lines", "line objects", "points", "point objects"],
)
def test_too_many_in_a_call_is_413_with_the_limit(send, attempt, place, body):
    before = everything()

    answer = send(place, body)

    assert (answer.status_code, answer.json()["limit"]) == (413, 10_000)
    assert everything() == before


def test_the_largest_batches_are_taken(send, attempt):
    assert send("logs", lines(1, *["x"] * 10_000)).status_code == 200
    assert send("metrics", points(1, *[1.0] * 10_000)).status_code == 200
    assert stored(attempt) == (10_000, 10_000)


@pytest.mark.parametrize(("sent", "value"), [("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf)])
def test_what_json_has_no_number_for_is_sent_as_text(send, attempt, as_viewer, sent, value):
    send("metrics", points(1, sent))

    shown = as_viewer.call("GET", f"{run_path(attempt.run)}/metrics?key=loss").json()["series"]["loss"]

    assert (shown["value"], shown["special"]) == ([None], {"0": sent})


@pytest.mark.parametrize("time", [0, 253_402_300_799_000_000])
def test_the_first_and_the_last_time_are_shown(send, attempt, as_viewer, time):
    send("logs", lines(1, "edge", time=time))

    assert as_viewer.call("GET", f"{run_path(attempt.run)}/logs").json()["items"][0]["message"] == "edge"


def test_lines_keep_their_level_stream_and_text(send, attempt):
    send("logs", {"sequence": 1, "lines": [line(5, 3, 1, "<b>é🚂")]})

    kept = follow(run_id=attempt.run_id, after=0, limit=10)[0]

    assert (kept.time_us, kept.level, kept.stream, kept.message) == (5, "ERROR", "stderr", "<b>é🚂")
