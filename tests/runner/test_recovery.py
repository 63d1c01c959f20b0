"""Runners that die or come twice, and what `--recover` makes of it."""

import json
import signal

import pytest

from .conftest import is_alive, wait_for

TALKING = """
import subprocess, sys, time
subprocess.Popen(["sleep", "120"], start_new_session=True)
number = 0
while True:
    print("line", number)
    number += 1
    time.sleep(0.01)
"""


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def count_waiting(bench):
    return len(list((bench.path / "spool" / "logs").glob("*.json")))


def test_the_trainer_dies_with_its_runner(bench):
    hub = bench.prepare(trainer=TALKING)
    process = bench.start()
    hub.wait(lambda: hub.lines(0))
    kill(process)
    wait_for(lambda: not is_alive(hub.started[0]["trainer_pid"]))
    assert not bench.is_locked()


def test_recovery_clears_up_and_delivers_what_was_spooled(bench):
    hub = bench.prepare(trainer=TALKING)
    process = bench.start()
    hub.wait(lambda: hub.lines(0))
    hub.is_down = True
    waiting = count_waiting(bench)
    wait_for(lambda: count_waiting(bench) >= waiting + 3)
    kill(process)
    hub.is_down = False
    assert bench.run("--recover") == 0
    assert bench.marked() == set()
    assert hub.lines(0) == [f"line {number}" for number in range(len(hub.lines(0)))]
    assert hub.lines(2) == ["The runner died; up to the last second of output may be missing."]
    report = hub.exits[0]
    assert (report["runner_died"], report["exit_code"], report["signal"]) == (True, None, None)


def test_recovery_finds_a_daemon_that_shed_its_marker(bench):
    trainer = """
        import subprocess, time
        daemon = subprocess.Popen(["/bin/sleep", "120"], start_new_session=True, env={})
        print(daemon.pid)
        time.sleep(120)
        """
    hub = bench.prepare(trainer=trainer)
    process = bench.start()
    hub.wait(lambda: hub.lines(0))
    daemon = int(hub.lines(0)[0])
    wait_for(lambda: f"{daemon}," in (bench.path / "processes.json").read_text(), errors=(OSError,))
    kill(process)
    assert is_alive(daemon)
    assert bench.run("--recover") == 0
    assert not is_alive(daemon)


def test_recovery_uploads_what_the_dead_runner_had_no_time_for(bench):
    trainer = """
        import os, time
        os.makedirs("checkpoints/.tmp")
        open("checkpoints/.tmp/model", "wb").write(b"w" * 1000)
        os.rename("checkpoints/.tmp", "checkpoints/step-9")
        print("ready")
        time.sleep(120)
        """
    hub = bench.prepare(trainer=trainer)
    hub.refuse["POST artifacts"] = (507, {"code": "disk_full", "detail": ""})
    process = bench.start()
    hub.wait(lambda: "ready" in hub.lines(0))
    kill(process)
    hub.refuse.clear()
    assert bench.run("--recover") == 0
    assert hub.artifact("checkpoints/step-9")["state"] == "verified"
    assert not (bench.output / "checkpoints" / "step-9").exists()


def test_the_exit_code_survives_the_runner(bench):
    hub = bench.prepare(trainer="import sys; print('last'); sys.exit(7)")
    hub.refuse["POST (logs|exit)"] = (503, {"code": "unavailable", "detail": ""})
    process = bench.start()
    wait_for((bench.path / "exit.json").exists)
    wait_for(lambda: count_waiting(bench))
    kill(process)
    hub.refuse.clear()
    assert bench.run("--recover") == 0
    assert (hub.exits[0]["exit_code"], hub.exits[0]["runner_died"]) == (7, False)
    assert hub.lines() == ["last"]


def test_recovery_may_die_and_be_repeated(bench):
    hub = bench.prepare(trainer=TALKING)
    process = bench.start()
    hub.wait(lambda: hub.lines(0))
    kill(process)
    hub.refuse["POST exit"] = (503, {"code": "unavailable", "detail": ""})
    second = bench.start("--recover")
    hub.wait(lambda: "POST exit" in hub.calls)
    kill(second)
    hub.refuse.clear()
    assert bench.run("--recover") == 0
    assert len(hub.exits) == 1
    assert len(hub.lines(2)) == 1


def test_nothing_is_recovered_twice(bench):
    hub = bench.prepare(trainer="pass")
    assert bench.run() == 0
    calls = list(hub.calls)
    assert bench.run("--recover") == 0
    assert hub.calls == calls


def test_recovery_of_a_fenced_attempt_says_nothing(bench):
    hub = bench.prepare(trainer=TALKING)
    process = bench.start()
    hub.wait(lambda: hub.lines(0))
    kill(process)
    hub.is_fenced = True
    assert bench.run("--recover") == 0
    assert not hub.exits
    assert json.loads((bench.path / "delivered").read_text()) == {"how": "fenced"}


def test_recovery_of_a_runner_that_never_claimed_reports_it(bench):
    hub = bench.prepare(trainer="pass")
    assert bench.run("--recover") == 0
    assert hub.exits[0]["runner_died"]
    assert "POST claim" not in hub.calls


def test_a_second_runner_on_the_same_attempt_leaves(bench):
    hub = bench.prepare(trainer=TALKING)
    bench.start()
    hub.wait(lambda: hub.lines(0))
    record = (bench.path / "runner.json").read_bytes()
    assert bench.run() == 0
    assert bench.run("--recover") == 0
    assert hub.calls.count("POST claim") == 1
    assert (bench.path / "runner.json").read_bytes() == record


@pytest.mark.parametrize(
    "refusal",
    [
        (409, {"code": "already_claimed", "detail": "Another runner holds this attempt."}),
        (409, {"code": "fenced", "detail": ""}),
        (401, {"code": "authentication_failed", "detail": ""}),
    ],
)
def test_a_runner_that_may_not_start_leaves_and_is_not_recovered(bench, refusal):
    hub = bench.prepare(trainer="pass")
    hub.refuse["POST claim"] = refusal
    assert bench.run() == 0
    assert bench.run("--recover") == 0
    assert hub.calls == ["POST claim"]
    assert not bench.output.exists()
    assert "leaving without a trainer" in bench.log


def test_a_stop_while_the_hub_is_away_starts_nothing(bench):
    hub = bench.prepare(trainer="pass")
    hub.refuse["POST claim"] = (503, {"code": "unavailable", "detail": ""})
    process = bench.start()
    hub.wait(lambda: "POST claim" in hub.calls)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert bench.run("--recover") == 0
    assert hub.exits[0]["was_stopped"]


def test_a_runner_asks_a_hub_that_is_away_as_long_as_its_order_says(bench):
    hub = bench.prepare(trainer="pass")
    hub.refuse["POST claim"] = (503, {"code": "unavailable", "detail": ""})
    order = json.loads((bench.path / "job.json").read_text())
    (bench.path / "job.json").write_text(json.dumps({**order, "claim_seconds": 0.5}))
    assert bench.run() == 0
    assert json.loads((bench.path / "left").read_text())["is_final"] is False
    assert not bench.output.exists()


def test_a_recovery_of_a_good_end_does_not_wait_until_the_hub_has_verified(bench):
    trainer = """
        import os
        os.makedirs("checkpoints/.tmp")
        open("checkpoints/.tmp/model", "wb").write(b"w")
        os.rename("checkpoints/.tmp", "checkpoints/step-9")
        """
    hub = bench.prepare(trainer=trainer)
    complete = "POST artifacts/art0/complete"
    hub.refuse[complete] = (200, {"id": "art0", "state": "complete", "missing": []})
    process = bench.start()
    wait_for((bench.path / "exit.json").exists)
    hub.wait(lambda: complete in hub.calls)
    kill(process)
    assert bench.run("--recover") == 0
    assert (hub.exits[0]["exit_code"], hub.exits[0]["runner_died"]) == (0, False)
    assert (bench.output / "checkpoints" / "step-9" / "model").exists()


def test_a_folder_without_an_order_is_an_error(bench):
    bench.prepare()
    (bench.path / "job.json").write_text("{}")
    assert bench.run() == 1
    assert "job.json lacks" in bench.log
