"""A trainer that behaves: what it sees, and what the hub has at the end."""

import json

import pytest

from .hub import TOKEN

TRAINER = """
import json, os, sys
print("hello")
print("WARNING: low memory")
print("oops", file=sys.stderr)
print(json.dumps({"step": 5, "loss": 0.5, "lr": float("nan"), "progress": 0.25}))
sys.stdout.write("no newline at the end")
"""


def test_lines_and_metrics_of_a_small_run_arrive(bench):
    hub = bench.prepare(trainer=TRAINER)
    assert bench.run() == 0
    stdout = [line[1:] for line in hub.log_lines() if line[2] == 0]
    assert stdout == [[1, 0, "hello"], [2, 0, "WARNING: low memory"], [1, 0, "no newline at the end"]]
    assert [line[1:] for line in hub.log_lines() if line[2] == 1] == [[2, 1, "oops"]]
    assert (hub.points("loss"), hub.points("lr")) == ([(5, 0.5)], [(5, "NaN")])
    assert hub.beats[-1]["progress"] == 0.25


def test_the_end_is_reported_after_everything_else(bench):
    hub = bench.prepare(trainer=TRAINER)
    assert bench.run() == 0
    report = {**hub.exits[0], "ended_at_ms": 0}
    assert report == {
        "exit_code": 0,
        "signal": None,
        "was_stopped": False,
        "was_killed": False,
        "out_of_memory": False,
        "runner_died": False,
        "problem": None,
        "message": "",
        "ended_at_ms": 0,
    }
    assert [call for call in hub.calls if call != "POST heartbeat"][-1] == "POST exit"
    assert json.loads((bench.path / "delivered").read_text()) == {"how": "told"}
    assert not bench.is_locked()


def test_the_runner_says_where_it_runs(bench):
    hub = bench.prepare(trainer="import time; time.sleep(60)")
    process = bench.start()
    hub.wait(lambda: hub.started)
    record = json.loads((bench.path / "runner.json").read_text())
    assert record["pid"] == process.pid
    assert record["start_time"] > 0
    assert record["boot_id"]
    assert bench.is_locked()
    assert hub.started[0]["trainer_pid"] != process.pid


def test_a_failure_comes_with_its_last_words(bench):
    hub = bench.prepare(trainer="print('fine'); raise ValueError('bad batch')")
    assert bench.run() == 0
    assert (hub.exits[0]["exit_code"], hub.exits[0]["message"]) == (1, "ValueError: bad batch")


def test_a_signal_is_told_from_an_exit_code(bench):
    hub = bench.prepare(trainer="import os; os.kill(os.getpid(), 9)")
    assert bench.run() == 0
    assert (hub.exits[0]["exit_code"], hub.exits[0]["signal"]) == (None, 9)
    assert not hub.exits[0]["was_killed"]


@pytest.mark.parametrize("section", ["hyperparameters", "model_parameters"])
def test_progress_follows_from_max_steps(bench, section):
    hub = bench.prepare(trainer="""print('{"step": 30, "loss": 1}')""", config={section: {"max_steps": 40}})
    assert bench.run() == 0
    assert hub.beats[-1]["progress"] == 0.75


@pytest.mark.parametrize("command", ["no-such-program", "/etc/passwd", "/nowhere/python"])
def test_a_command_that_cannot_run_is_a_problem_of_its_own(bench, command):
    hub = bench.prepare(command=[command, "x"])
    assert bench.run() == 0
    assert (hub.exits[0]["problem"], hub.exits[0]["exit_code"]) == ("command_not_found", None)
    assert command in hub.exits[0]["message"]
    assert not hub.started


DUMP = """
import json, os, signal, sys, resource
fds = {name: os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
       if os.path.lexists(f"/proc/self/fd/{name}")}
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
ignored = int(status["SigIgn"], 16)
json.dump({
    "environment": dict(entry.split("=", 1) for entry in open("/proc/self/environ").read().split("\\0") if entry),
    "argv": open("/proc/self/cmdline").read(), "fds": fds, "cwd": os.getcwd(), "stdin": os.readlink("/proc/self/fd/0"),
    "is_leader": os.getsid(0) == os.getpid(), "no_new_privs": status["NoNewPrivs"].strip(),
    "deaf": bool(ignored >> (signal.SIGTERM - 1) & 1 or ignored >> (signal.SIGHUP - 1) & 1),
    "core": resource.getrlimit(resource.RLIMIT_CORE), "oom": int(open("/proc/self/oom_score_adj").read()),
    "umask": os.umask(0o77), "config": json.load(open(os.environ["TRAINHUB_CONFIG"])),
}, open("../seen.json", "w"))
"""


@pytest.fixture
def seen(bench, tmp_path):
    """What a trainer finds around it."""
    bench.environment |= {"SECRET": "x", "SLURM_JOB_ID": "7", "SLURM_JWT": "x", "LANG": "C.UTF-8", "LC_ALL": "C"}
    bench.prepare(trainer=DUMP, environment={"RECIPE": "a=b, c"}, datasets=["/data/a", "/data/b"])
    assert bench.run() == 0
    return json.loads((bench.path / "seen.json").read_text())


def test_the_environment_is_made_from_nothing(bench, seen):
    environment = seen["environment"]
    for name in (
        "PATH",
        "HOME",
        "USER",
        "TZ",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "CUDA_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES",
    ):
        environment.pop(name, None)
    assert environment == {
        "LANG": "C.UTF-8",
        "LC_ALL": "C",
        "SLURM_JOB_ID": "7",
        "RECIPE": "a=b, c",
        "PYTHONUNBUFFERED": "1",
        "TRAINHUB_ATTEMPT": bench.attempt,
        "TRAINHUB_CONFIG": str(bench.path / "config.json"),
        "TRAINHUB_OUTPUT_DIR": str(bench.output),
        "TRAINHUB_DATASETS": "/data/a:/data/b",
    }


def test_the_token_does_not_reach_the_trainer(seen):
    assert TOKEN not in json.dumps([seen["environment"], seen["argv"], seen["fds"]])


def test_the_trainer_has_three_descriptors_and_no_terminal(bench, seen):
    own = {number: target for number, target in seen["fds"].items() if not target.startswith("/proc/")}
    others = {target for number, target in own.items() if int(number) > 2 and not target.endswith("seen.json")}
    assert others == set()
    assert seen["stdin"] == "/dev/null"
    assert seen["is_leader"]


def test_the_trainer_is_tightened(bench, seen):
    assert seen["no_new_privs"] == "1"
    assert seen["core"] == [0, 0]
    assert seen["oom"] >= 500
    assert seen["umask"] == 0o77
    assert not seen["deaf"]
    assert (seen["cwd"], seen["config"]["run"]) == (str(bench.output), "run_1")


def test_the_launcher_does_not_trust_the_recipes_python_variables(bench):
    environment = {"PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONSTARTUP": "/nowhere"}
    hub = bench.prepare(command=["/bin/echo", "hi"], environment=environment)
    assert bench.run() == 0
    assert hub.lines(0) == ["hi"]


def test_binary_garbage_long_lines_and_bars_do_not_stop_a_run(bench):
    hub = bench.prepare(
        trainer="""
        import os
        os.write(1, bytes(range(128, 256)) + b"\\0\\n" + b"y" * 1_000_000 + b"\\n10%\\r90%\\r100%\\n")
        os.close(1)
        os.write(2, b"ERROR still here\\n")
        """
    )
    assert bench.run() == 0
    garbage, long, bar = hub.lines(0)
    assert (garbage[:4], garbage[-8:]) == ("\\x80", "\\xff\\x00")
    assert (len(long), bar) == (16_384, "100%")
    assert [line[1:] for line in hub.log_lines() if line[2] == 1] == [[3, 1, "ERROR still here"]]


def test_a_flood_does_not_hold_the_trainer_up_and_every_line_is_accounted_for(bench):
    hub = bench.prepare(
        trainer="""
        import os
        block = b"".join(b"%06d some words to make a line of about the usual length\\n" % i for i in range(10_000))
        for _ in range(50):
            os.write(1, block)
        """
    )
    assert bench.run() == 0
    told = [int(line.split()[0]) for line in hub.lines(2)]
    assert len(hub.lines(0)) + sum(told) == 500_000
    assert len(hub.lines(0)) >= 100_000
