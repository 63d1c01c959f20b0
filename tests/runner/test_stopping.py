"""Cancel, signals, fencing: the trainer ends, and nothing of it stays behind."""

import json
import os
import signal
import time

import pytest

from .conftest import is_alive, wait_for

POLITE = """
import os, signal, sys, time
def save(*_):
    os.makedirs("checkpoints/.tmp")
    open("checkpoints/.tmp/model", "wb").write(b"w" * 100_000)
    os.rename("checkpoints/.tmp", "checkpoints/step-7")
    open("../ended", "w").write(str(time.monotonic()))
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("ready")
time.sleep(120)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("no"))
print("ready")
while True:
    time.sleep(120)
"""
TALKING = """
import time
while True:
    print("ready")
    time.sleep(0.02)
"""
DAEMONS = """
import os, signal, subprocess, sys, time
HERE = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(120)"
subprocess.Popen([sys.executable, "-c", HERE])
subprocess.Popen([sys.executable, "-c", HERE], start_new_session=True)
subprocess.Popen([sys.executable, "-c", HERE], start_new_session=True, env={})  # without the marker
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, "-c", HERE], {})
    os._exit(0)
os.wait()
open("../pids", "w").write(" ".join(open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read().split()))
print("ready")
"""


def start_ready(bench, **claim):
    """Start a runner and wait until its trainer has said "ready"."""
    hub = bench.prepare(**claim)
    process = bench.start()
    hub.wait(lambda: "ready" in hub.lines(0))
    return hub, process


def end(process):
    assert process.wait(30) == 0


def test_a_signal_to_the_runner_lets_the_trainer_save(bench):
    hub, process = start_ready(bench, trainer=POLITE)
    process.send_signal(signal.SIGTERM)
    end(process)
    report = hub.exits[0]
    assert (report["exit_code"], report["was_stopped"], report["was_killed"]) == (0, True, False)
    assert hub.artifact("checkpoints/step-7")["state"] == "verified"
    assert "stopping" in [beat["phase"] for beat in hub.beats]


def test_the_report_follows_the_trainers_end_within_half_a_second(bench):
    hub, process = start_ready(bench, trainer=POLITE)
    process.send_signal(signal.SIGINT)
    end(process)
    ended = float((bench.path / "ended").read_text())
    assert hub.moments["exit answered"] - ended < 0.5


def test_only_the_trainer_process_gets_sigterm_and_only_once(bench):
    child = "import signal, time; signal.signal(15, lambda *_: print('child'));\nprint('up');\nwhile 1: time.sleep(9)"
    trainer = f"""
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, lambda *_: print("got it"))
        subprocess.Popen([sys.executable, "-c", {child!r}])
        print("ready")
        while True:
            time.sleep(120)
        """
    hub, process = start_ready(bench, trainer=trainer, grace_seconds=1.0)
    hub.wait(lambda: "up" in hub.lines(0))
    process.send_signal(signal.SIGTERM)
    hub.wait(lambda: "got it" in hub.lines(0))
    process.send_signal(signal.SIGTERM)
    end(process)
    assert sorted(hub.lines(0)) == ["got it", "ready", "up"]


def test_a_trainer_that_ignores_sigterm_is_killed_after_the_grace_period(bench):
    hub, process = start_ready(bench, trainer=DEAF, grace_seconds=0.5)
    process.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    end(process)
    report = hub.exits[0]
    assert (report["signal"], report["was_stopped"], report["was_killed"]) == (9, True, True)
    assert not report["out_of_memory"]
    assert hub.moments["POST exit"] - asked >= 0.5
    assert bench.marked() == set()


def test_an_order_in_a_heartbeats_answer_stops_and_says_how_much_time_there_is(bench):
    hub, process = start_ready(bench, trainer=DEAF, grace_seconds=60.0)
    hub.order, hub.order_grace = "cancel", 0.2
    end(process)
    assert (hub.exits[0]["was_stopped"], hub.exits[0]["was_killed"]) == (True, True)


@pytest.mark.parametrize("ending", ["sys.exit(3)", "time.sleep(120)"])
def test_no_daemon_outlives_the_trainer(bench, ending):
    hub, process = start_ready(bench, trainer=DAEMONS + ending, grace_seconds=0.2)
    pids = [int(pid) for pid in wait_for((bench.path / "pids").read_text, errors=(OSError,)).split()]
    process.send_signal(signal.SIGTERM)
    end(process)
    assert len(pids) == 3
    assert [pid for pid in pids if is_alive(pid)] == []
    assert bench.marked() == set()
    assert hub.moments["POST exit"]


def test_a_daemon_that_holds_stdout_does_not_delay_the_end(bench):
    hub = bench.prepare(
        trainer="""
        import subprocess, sys
        subprocess.Popen(["sleep", "120"], start_new_session=True)
        print("bye")
        """
    )
    assert bench.run(seconds=15) == 0
    assert hub.lines(0) == ["bye"]


def test_a_stop_during_preparation_starts_no_trainer(bench):
    hub = bench.prepare(
        resume={
            "artifact": "ckpt_1",
            "name": "step-1",
            "step": 1,
            "is_directory": False,
            "files": [{"name": "step-1", "size_bytes": 1, "sha256": "0" * 64}],
        }
    )
    hub.refuse["GET .*"] = (503, {"code": "unavailable", "detail": ""})
    process = bench.start()
    hub.wait(lambda: "GET resume/files/0" in hub.calls)
    process.send_signal(signal.SIGTERM)
    end(process)
    assert (hub.exits[0]["was_stopped"], hub.exits[0]["exit_code"], hub.exits[0]["problem"]) == (True, None, None)
    assert not hub.started


def test_a_fenced_runner_kills_everything_and_says_no_more(bench):
    hub, process = start_ready(bench, trainer=DAEMONS + "time.sleep(120)", grace_seconds=60.0)
    pids = [int(pid) for pid in (bench.path / "pids").read_text().split()]
    hub.is_fenced = True
    end(process)
    assert [pid for pid in pids if is_alive(pid)] == []
    assert not hub.exits
    assert json.loads((bench.path / "delivered").read_text()) == {"how": "fenced"}


def test_an_unknown_token_fences_too(bench):
    hub, process = start_ready(bench, trainer=TALKING)
    hub.refuse["POST logs"] = (401, {"code": "authentication_failed", "detail": ""})
    end(process)
    assert bench.marked() == set()
    assert not hub.exits


def test_an_error_page_of_a_proxy_kills_nothing(bench):
    hub, process = start_ready(bench, trainer=TALKING)
    hub.refuse["POST logs"] = (401, b"<html>who are you?</html>")
    calls = hub.calls.count("POST logs")
    hub.wait(lambda: hub.calls.count("POST logs") >= calls + 2)
    assert is_alive(hub.started[0]["trainer_pid"])
    hub.refuse.clear()
    process.send_signal(signal.SIGTERM)
    end(process)
    assert hub.exits[0]["signal"] == signal.SIGTERM


def test_a_trainer_killed_from_outside_is_not_said_to_be_killed_by_us(bench):
    hub, process = start_ready(bench, trainer=DEAF)
    os.kill(hub.started[0]["trainer_pid"], signal.SIGKILL)
    end(process)
    assert (hub.exits[0]["signal"], hub.exits[0]["was_killed"], hub.exits[0]["was_stopped"]) == (9, False, False)
