"""A hub that is away, forgetful, slow or strict: every line arrives once and in order."""

import json

import pytest

from .conftest import wait_for

NUMBERS = """
import sys, time, os
for number in range(100):
    print("line", number)
    print('{"step": %d, "loss": %d}' % (number, number))
    time.sleep(0.005 + float(os.environ.get("SLOWER", 0)))
open("../written", "w")
"""
LINES = [f"line {number}" for number in range(100)]
POINTS = [(number, number) for number in range(100)]


def assert_all_arrived(hub):
    assert hub.lines(0) == LINES
    assert hub.points("loss") == POINTS
    assert hub.exits[0]["exit_code"] == 0


def test_a_hub_that_is_away_gets_everything_later(bench):
    hub = bench.prepare(trainer=NUMBERS, environment={"SLOWER": "0.005"})
    process = bench.start()
    hub.wait(lambda: hub.lines(0))
    hub.is_down = True
    wait_for((bench.path / "written").exists)
    wait_for((bench.path / "exit.json").exists)
    assert len(list((bench.path / "spool" / "logs").glob("*.json"))) > 1
    hub.is_down = False
    assert process.wait(30) == 0
    assert_all_arrived(hub)


def test_the_trainer_does_not_notice_that_the_hub_is_away(bench):
    hub = bench.prepare(trainer=NUMBERS)
    process = bench.start()
    hub.wait(lambda: hub.started)
    hub.close()  # connections are refused from now on
    wait_for((bench.path / "written").exists)
    assert process.poll() is None


def test_lost_answers_leave_no_duplicates(bench):
    hub = bench.prepare(trainer=NUMBERS)
    hub.lost_answers = {"POST claim": 2, "POST started": 1, "POST logs": 3, "POST metrics": 3, "POST exit": 1}
    assert bench.run() == 0
    assert_all_arrived(hub)
    assert len(hub.exits) == 2  # the same report twice, because the first answer was lost


@pytest.mark.parametrize(
    "failure",
    [
        (500, {"code": "error", "detail": ""}),
        (503, {"code": "unavailable", "detail": ""}),
        (429, {"code": "throttled", "detail": ""}),
        (200, b"<html>Welcome to the hotel</html>"),
        (200, {"sequence": 0}),
        (404, b"<html>not yet</html>"),
    ],
)
def test_what_is_no_answer_is_sent_again(bench, failure):
    hub = bench.prepare(trainer=NUMBERS)
    hub.failures = [(call, *failure) for call in ("POST logs", "POST metrics", "POST started", "POST claim")]
    assert bench.run() == 0
    assert_all_arrived(hub)


def test_a_refused_batch_is_put_aside_and_replaced_by_a_remark(bench):
    hub = bench.prepare(trainer="print('a'); print('b')")
    hub.failures = [("POST logs", 400, {"code": "invalid", "detail": "Line 2 is odd."})]
    assert bench.run() == 0
    assert hub.lines() == ["The hub refused 2 log lines: 400 invalid: Line 2 is odd."]
    aside = next((bench.path / "spool" / "logs").glob("*.refused"))
    assert json.loads(aside.read_bytes())["lines"]["text"] == ["a", "b"]


def test_a_refused_metric_batch_is_told_in_the_log(bench):
    hub = bench.prepare(trainer="""print('{"step": 1, "a": 1, "b": 2}')""")
    hub.failures = [("POST metrics", 400, {"code": "invalid", "detail": "No."})]
    assert bench.run() == 0
    assert hub.batches["metrics"][1]["metrics"] == {}
    assert hub.lines(2) == ["The hub refused 2 metric keys of one batch: 400 invalid: No."]


def test_a_batch_that_the_hub_lost_and_the_node_forgot_becomes_a_gap_mark(bench):
    hub = bench.prepare(trainer="print('first')\nimport time\ntime.sleep(0.5)\nprint('second')\ninput_ = None")
    process = bench.start()
    hub.wait(lambda: hub.lines(0) == ["first"])
    with hub.condition:  # as after a restore of an older backup
        hub.batches["logs"].clear()
        hub.stored["logs"] = 0
    assert process.wait(30) == 0
    assert hub.lines() == ["Log batch 1 is gone from the node; its lines are missing here.", "second"]


def test_numbers_go_on_where_the_hub_says(bench):
    hub = bench.prepare(trainer=NUMBERS, log_sequence=41, metric_sequence=7)
    assert bench.run() == 0
    assert_all_arrived(hub)
    assert (min(hub.batches["logs"]), min(hub.batches["metrics"])) == (42, 8)


def test_a_full_disk_does_not_disturb_the_trainer(bench):
    hub = bench.prepare(trainer=NUMBERS)
    (bench.path / "spool").write_text("in the way: nothing can be written below")
    assert bench.run() == 0
    assert_all_arrived(hub)


def test_a_refused_start_or_end_does_not_loop(bench):
    hub = bench.prepare(trainer="print('x')")
    hub.refuse = {"POST (started|exit)": (400, {"code": "invalid", "detail": ""})}
    assert bench.run() == 0
    assert hub.lines(0) == ["x"]
    assert json.loads((bench.path / "delivered").read_text()) == {"how": "refused"}


def test_the_claim_is_repeated_until_the_hub_answers(bench):
    hub = bench.prepare(trainer="print('x')")
    hub.is_down = True
    process = bench.start()
    wait_for(bench.is_locked)
    hub.is_down = False
    assert process.wait(30) == 0
    assert hub.lines(0) == ["x"]


@pytest.mark.parametrize("missing", ["command", "grace_seconds", "checkpoint_pattern", "resume"])
def test_a_claim_that_makes_no_sense_starts_nothing(bench, missing):
    hub = bench.prepare(trainer="print('x')")
    good = hub.claim
    hub.claim = {key: value for key, value in good.items() if key != missing}
    process = bench.start()
    hub.wait(lambda: hub.calls.count("POST claim") >= 2)
    assert not bench.output.exists()
    hub.claim = good
    assert process.wait(30) == 0
    assert hub.lines(0) == ["x"]
