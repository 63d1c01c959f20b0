"""A trainer that behaves: what it sees, and what the hub has at the end."""

import json

import pytest

from runner.client import NoAnswer
from runner.supervise import check_claim

from .conftest import make_claim
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

    assert hub.exits[0]["progress"] == 0.25  # a heartbeat may have missed it


def test_heartbeats_say_how_far_the_trainer_came(bench):
    hub = bench.prepare(trainer=TRAINER + "sys.stdout.flush()\nimport time\ntime.sleep(60)")
    bench.start()
    hub.wait(lambda: any(beat["progress"] == 0.25 for beat in hub.beats), seconds=30)


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
        "progress": 0.25,
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


TRACKING = {"run": "run_1", "experiment": "proj_1", "token": "canary-of-the-trainer"}


def seen_with(bench, **claim):
    """Return what of MLflow's variables a trainer finds."""
    bench.prepare(trainer=DUMP, **claim)
    assert bench.run() == 0
    environment = json.loads((bench.path / "seen.json").read_text())["environment"]
    return {name: value for name, value in environment.items() if name.startswith(("MLFLOW_", "DO_NOT_"))}


def test_a_trainer_gets_what_an_mlflow_client_needs_to_log_to_its_run(bench):
    assert seen_with(bench, tracking=TRACKING) == {
        "MLFLOW_TRACKING_URI": f"{bench.hub.url}/mlflow",
        "MLFLOW_TRACKING_TOKEN": "canary-of-the-trainer",
        "MLFLOW_EXPERIMENT_ID": "proj_1",
        "MLFLOW_RUN_ID": "run_1",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


def test_a_recipe_that_names_a_server_of_its_own_gets_nothing_of_ours(bench):
    own = {"MLFLOW_TRACKING_URI": "https://elsewhere.example"}
    assert seen_with(bench, tracking=TRACKING, environment=own) == own


def test_a_recipe_may_change_single_variables_of_the_client(bench):
    seen = seen_with(bench, tracking=TRACKING, environment={"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "false"})
    assert (seen["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"], seen["MLFLOW_RUN_ID"]) == ("false", "run_1")


def test_the_trainers_token_is_in_its_variables_and_in_no_file(bench):
    seen_with(bench, tracking=TRACKING)
    (bench.path / "seen.json").unlink()  # the trainer wrote its variables there itself
    holders = [file for file in bench.path.rglob("*") if file.is_file() and b"canary-of" in file.read_bytes()]
    assert holders == []
    assert "canary-of" not in json.dumps(bench.hub.log_lines())


@pytest.mark.parametrize("tracking", [None, [], "x", {}, {**TRACKING, "token": 1}, {**TRACKING, "run": "a\nb"}])
def test_tracking_of_another_shape_is_no_answer_of_a_hub(tracking):
    with pytest.raises(NoAnswer, match="tracking"):
        check_claim(make_claim(attempt="att_1", tracking=tracking), "att_1")


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
