"""Logs and metrics as runners send them: in order, each batch once."""

import math

import pytest

from runs.telemetry.log_pages import count_lines, follow
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
    return {"sequence": sequence, "lines": [[time, 1, 0, text] for text in texts]}


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


@pytest.mark.parametrize(
    "line",
    [
        [0, 1, 0],
        [0, 1, 0, "x", 1],
        "x",
        None,
        {},
        ["0", 1, 0, "x"],
        [-1, 1, 0, "x"],
        [2**63, 1, 0, "x"],
        [1.5, 1, 0, "x"],
        [0, 5, 0, "x"],
        [0, -1, 0, "x"],
        [0, True, 0, "x"],
        [0, 1, 3, "x"],
        [0, 1, 0, 1],
        [0, 1, 0, None],
        [0, 1, 0, "x" * 40_000],
        [0, 1, 0, "a\x00b"],
    ],
)
def test_a_bad_line_refuses_the_whole_batch(send, attempt, line):
    before = everything()

    answer = send("logs", {"sequence": 1, "lines": [[0, 1, 0, "good"], line]})

    assert answer.status_code == 400
    assert everything() == before


@pytest.mark.parametrize(
    "metrics",
    [
        [],
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
    [("logs", lines(1, *["x"] * 10_001)), ("metrics", points(1, *[1.0] * 10_001))],
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
    send("logs", {"sequence": 1, "lines": [[5, 3, 1, "<b>é🚂"]]})

    line = follow(run_id=attempt.run_id, after=0, limit=10)[0]

    assert (line.time_us, line.level, line.stream, line.message) == (5, "ERROR", "stderr", "<b>é🚂")
