"""A trainer on two nodes of a real Slurm: started by one srun, stopped once, killed everywhere, heard from all."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from runner.cluster import find_allocation
from runner.frames import PIECE_BYTES, Assembler, Frame, encode
from runner.workspace import CannotPrepare

from .conftest import wait_for
from .nodes import START_SECONDS, ClusterBench, cluster_bench, slurm

bench = cluster_bench
__all__ = ["slurm"]

RANKS = """
import json, os, signal, sys, time
rank = int(os.environ["NODE_RANK"])
"""
POLITE = (
    RANKS
    + """
def save(*_):
    print(f"asked {rank}", flush=True)
    time.sleep(8 if rank else 0.1)  # longer than KillWait, which is 5 s
    if rank:
        os.makedirs("checkpoints/.tmp")
        open("checkpoints/.tmp/model", "wb").write(b"w" * 100_000)
        os.rename("checkpoints/.tmp", "checkpoints/step-7")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print(f"ready {rank}", flush=True)
time.sleep(120)
"""
)
DEAF = (
    RANKS
    + """
import subprocess
HERE = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(120)"
subprocess.Popen([sys.executable, "-c", HERE], start_new_session=True)
signal.signal(signal.SIGTERM, lambda *_: print(f"no {rank}", flush=True))
print(f"ready {rank}", flush=True)
while True:
    time.sleep(120)
"""
)


def start_ready(bench: ClusterBench, **claim: Any) -> Any:
    """Submit and wait until the trainers on both nodes have said "ready"."""
    hub = bench.prepare(nodes=2, **claim)
    bench.submit()
    hub.wait(lambda: {"ready 0", "[node 1] ready 1"} <= set(hub.lines(0)), START_SECONDS, "not ready")
    return hub


@pytest.mark.parametrize("in_step", [False, True])
def test_every_node_runs_the_trainer_and_knows_the_others(bench, in_step):
    trainer = (
        RANKS
        + """
    names = ["NODE_RANK", "NNODES", "MASTER_ADDR", "PET_NNODES", "PET_NODE_RANK", "SLURM_NNODES", "SLURM_NODEID"]
    print(" ".join(os.environ[name] for name in names), os.environ["MASTER_PORT"] == os.environ["PET_MASTER_PORT"])
    print(os.getcwd() == os.environ["TRAINHUB_OUTPUT_DIR"], "PYTHONPATH" in os.environ, file=sys.stderr)
    print(json.dumps({"step": 3 + rank, "loss": 0.5}))
    """.replace("\n    ", "\n")
    )
    hub = bench.prepare(nodes=2, trainer=trainer)
    bench.submit_in_step() if in_step else bench.submit()

    report = bench.wait_for_report(START_SECONDS)

    assert (report["exit_code"], report["signal"], report["problem"]) == (0, None, None), bench.log
    assert sorted(hub.lines(0)) == ["0 2 127.0.0.1 2 0 2 0 True", "[node 1] 1 2 127.0.0.1 2 1 2 1 True"]
    assert sorted(hub.lines(1)) == ["True False", "[node 1] True False"]
    assert sorted(hub.points("loss")) == [(3, 0.5), (4, 0.5)]


def test_one_stop_reaches_each_node_once_and_the_save_may_take_longer_than_killwait(bench):
    hub = start_ready(bench, trainer=POLITE, grace_seconds=60.0)

    bench.stop()
    hub.wait(lambda: {"asked 0", "[node 1] asked 1"} <= set(hub.lines(0)))
    bench.stop()

    report = bench.wait_for_report()
    assert (report["exit_code"], report["was_stopped"], report["was_killed"]) == (0, True, False)
    assert hub.artifact("checkpoints/step-7")["state"] == "verified"
    assert sorted(hub.lines(0)) == ["[node 1] asked 1", "[node 1] ready 1", "asked 0", "ready 0"]


def test_after_the_grace_period_nothing_is_left_on_any_node(bench):
    hub = start_ready(bench, trainer=DEAF, grace_seconds=0.5)
    assert len(bench.marked()) >= 6  # on both nodes the trainer, its daemon and what started it

    bench.stop()

    report = bench.wait_for_report(20)
    assert (report["was_stopped"], report["was_killed"], report["signal"]) == (True, True, 9)
    assert {"no 0", "[node 1] no 1"} <= set(hub.lines(0))


def test_a_node_whose_supervisor_hangs_is_killed_by_slurm(bench):
    hub = start_ready(bench, trainer=DEAF, grace_seconds=0.5)
    supervisors = [pid for pid in bench.marked() if b"runner.node" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    for pid in supervisors:
        os.kill(pid, signal.SIGSTOP)

    bench.stop()

    assert bench.wait_for_report(40)["was_killed"]
    assert hub.exits[0]["exit_code"] != 0


def test_what_a_dead_runner_started_dies_on_all_nodes(bench):
    start_ready(bench, trainer=DEAF)
    record = json.loads((bench.path / "runner.json").read_text())

    os.kill(record["pid"], signal.SIGKILL)

    wait_for(lambda: not bench.marked(), 15)


def test_an_attempt_that_another_took_over_ends_on_all_nodes(bench):
    hub = start_ready(bench, trainer=DEAF)

    hub.is_fenced = True

    wait_for(lambda: not bench.marked(), 30)


def test_the_node_that_failed_first_gives_code_and_reason_and_the_others_are_stopped(bench):
    failing = """
open(f"up-{rank}", "w").close()
while not os.path.exists("up-0"):
    time.sleep(0.05)
if rank:
    print("ValueError: no data", file=sys.stderr)
    sys.exit(7)
"""
    trainer = POLITE.replace("8 if rank else 0.1", "0.1").replace("time.sleep(120)", f"{failing}\ntime.sleep(120)")
    hub = bench.prepare(nodes=2, trainer=trainer)
    bench.submit()

    report = bench.wait_for_report(START_SECONDS)

    assert (report["exit_code"], report["was_stopped"]) == (7, False)
    assert report["message"].startswith("Node 1 (n")
    assert report["message"].endswith("ended with exit code 7. ValueError: no data")
    assert "asked 0" in hub.lines(0)


def test_nodes_that_do_not_end_after_another_failed_are_killed(bench):
    trainer = DEAF.replace("while True:", "rank and os.kill(os.getpid(), 9)\nwhile True:")
    bench.prepare(nodes=2, trainer=trainer)
    bench.submit()

    report = bench.wait_for_report(START_SECONDS + 30)

    assert (report["signal"], report["was_killed"]) == (9, False)
    assert "was ended by signal 9" in report["message"]


def test_a_node_that_dies_with_its_supervisor_ends_the_others(bench):
    start_ready(bench, trainer=DEAF)
    environment = {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid in bench.marked()}
    victims = [
        pid for pid, text in environment.items() if b"SLURM_NODEID=1\0" in text and b"TRAINHUB_NODE=" not in text
    ]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)

    report = bench.wait_for_report()

    assert report["exit_code"] not in (0, None)
    assert "error" in report["message"]


def test_a_program_that_is_missing_is_named(bench):
    bench.prepare(nodes=2, command=["/does/not/exist"])
    bench.submit()

    report = bench.wait_for_report(START_SECONDS)

    assert (report["problem"], report["exit_code"]) == ("command_not_found", None)
    assert "/does/not/exist cannot be executed (ENOENT)" in report["message"]


@pytest.mark.parametrize(("nodes", "wanted"), [(1, 2), (2, 1)])
def test_a_job_with_another_number_of_nodes_does_not_start_the_trainer(bench, nodes, wanted):
    hub = bench.prepare(nodes=wanted)
    bench.submit(nodes=nodes)

    report = bench.wait_for_report(START_SECONDS)

    assert report["problem"] == "workspace_failed"
    assert report["message"] == f"The run asks for {wanted} nodes, and its job has {nodes}."
    assert not hub.started


def test_long_lines_of_all_nodes_arrive_whole(bench):
    trainer = RANKS + "for number in range(500):\n    print(f'{number} ' + chr(97 + rank) * (number * 20))\n"
    hub = bench.prepare(nodes=2, trainer=trainer)
    bench.submit()

    assert bench.wait_for_report(START_SECONDS)["exit_code"] == 0

    expected = [f"{number} " + "a" * (number * 20) for number in range(500)]
    assert [line for line in hub.lines(0) if not line.startswith("[")] == expected
    others = [line.removeprefix("[node 1] ") for line in hub.lines(0) if line.startswith("[")]
    assert others == [line.replace("a", "b") for line in expected]


def test_each_node_is_measured_and_the_means_are_those_of_all(bench, tmp_path):
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho '0, GPU-a, 50, 1024, 250, 61'\n")
    tool.chmod(0o755)
    path = {"PATH": f"{tool.parent}:{os.environ['PATH']}"}
    hub = bench.prepare(nodes=2, trainer=DEAF, grace_seconds=0.1, environment=path)
    bench.submit(gpus=1)
    keys = [f"system/node.{node}.{name}" for node in (0, 1) for name in ("memory_bytes", "gpu.0.utilization")]

    hub.wait(lambda: all(map(hub.points, [*keys, "gpu_utilization", "system/cpu_utilization"])), START_SECONDS)

    assert hub.points("gpu_utilization")[0] == (1, 0.5)
    assert "system/gpu.0.utilization" not in hub.batches["metrics"][1]["metrics"]
    bench.stop()
    assert bench.wait_for_report()["was_killed"]


@pytest.mark.parametrize("length", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 100_000])
def test_a_frame_comes_out_as_it_went_in(length):
    frame = Frame(12, "O", bytes(65 + number % 26 for number in range(length)))
    assembler = Assembler()
    lines = encode(frame).splitlines(keepends=True)

    assert max(map(len, lines)) < 1024
    assert [whole for line in lines if (whole := assembler.feed(line.rstrip(b"\n")))] == [frame]


@pytest.mark.parametrize("line", [b"", b"slurmstepd: error: x", b"1 Z", b"-1 O", b"1  O"])
def test_what_is_no_frame_is_refused(line):
    with pytest.raises(ValueError, match="not a frame"):
        Assembler().feed(line)


@pytest.mark.parametrize(
    "given", [{}, {"SLURM_JOB_NODELIST": "n[1-2]"}, {"SLURM_JOB_NODELIST": "n1", "SLURM_JOB_ID": "x"}]
)
def test_nodes_that_cannot_meet_are_refused(given, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))  # without scontrol

    with pytest.raises(CannotPrepare, match="Slurm does not tell where the nodes meet"):
        find_allocation({"SLURM_JOB_NUM_NODES": "2", **given}, 2)


def test_without_slurm_there_is_one_node():
    assert find_allocation({}, 1) is None
