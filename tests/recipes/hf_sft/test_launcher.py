"""Several processes and nodes: the command line of torchrun, the runner's variables, and which GPUs are seen."""

import os
import subprocess
import sys

import pytest
from hf_sft.devices import show_gpus
from hf_sft.errors import UnusableInput
from hf_sft.launcher import Node, find_node, marked_ranks, run_processes, torchrun_command
from hf_sft.stopping import StopRequest

from tests.recipes.hf_sft.environment import ONE_THREAD, PYTHON, RECIPE, need_environment

SECOND = {"NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "node3", "MASTER_PORT": "20007"}


def test_one_node_needs_no_meeting_point():
    command = torchrun_command("train.py", 4, None)

    assert command[1:4] == ["-u", "-m", "torch.distributed.run"]
    assert command[6:] == ["--standalone", "--nproc-per-node", "4", "--tee", "1:3,2:3,3:3", "train.py"]


def test_several_nodes_meet_at_the_first_one():
    command = torchrun_command("train.py", 2, Node(count=2, index=1, address="node3", port=20007))

    expected = (
        "--nnodes 2 --node-rank 1 --master-addr node3 --master-port 20007 --nproc-per-node 2 --tee 0:3,1:3 train.py"
    )
    assert command[6:] == expected.split()


def test_the_first_process_of_all_is_not_marked():
    assert [marked_ranks(1, is_first_node=is_first) for is_first in (True, False)] == ["0", "0:3"]


def test_a_run_on_one_node_has_no_place_among_others(settings):
    assert find_node(settings(compute={"node_count": 1}), SECOND) is None


def test_the_runner_tells_which_node_this_is(settings):
    node = find_node(settings(compute={"node_count": 2}), SECOND)

    assert node == Node(count=2, index=1, address="node3", port=20007)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({}, "several nodes work under Slurm alone"),
        ({**SECOND, "NODE_RANK": "first"}, "several nodes work under Slurm alone"),
        ({**SECOND, "NNODES": "3"}, "the run asks for 2 nodes, and was given 3"),
    ],
)
def test_without_the_runners_word_several_nodes_are_refused(settings, told, reason):
    with pytest.raises(UnusableInput, match=reason):
        find_node(settings(compute={"node_count": 2}), told)


# A program in place of torchrun; what it prints is not looked at, only what the launcher makes of its end.
FAILS = "import os, sys; open(os.environ['HF_SFT_FAILURE_FILE'], 'w').write(sys.argv[1]); sys.exit(1)"
DONE = """
import os, sys
for rank in sys.argv[1:]:
    open(os.environ["HF_SFT_DONE_FILE"] + "-" + rank, "w").close()
os.kill(os.getpid(), 9)
"""
WAITS = """
import os, signal, sys, time
os.kill(os.getpid(), signal.SIGTERM)  # ignored, or this is its end
while not os.path.exists(os.environ["HF_SFT_STOP_FILE"]):
    time.sleep(0.01)
"""


def test_the_code_and_words_of_the_process_that_failed_are_the_launchers(capsys):
    failure = '{"exit_code": 2, "message": "This run cannot start: no data"}'

    code = run_processes([sys.executable, "-c", FAILS, failure], 2, StopRequest())

    assert (code, capsys.readouterr().out) == (2, "ERROR This run cannot start: no data\n")


def test_a_process_that_was_killed_says_nothing_and_the_launcher_does(capsys):
    code = run_processes([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], 2, StopRequest())

    assert (code, capsys.readouterr().out) == (1, "ERROR A training process was killed, perhaps for lack of memory\n")


def test_processes_that_were_all_done_did_not_fail_whatever_becomes_of_torchrun(capsys):
    code = run_processes([sys.executable, "-c", DONE, "0", "1"], 2, StopRequest())

    assert (code, capsys.readouterr().out) == (0, "WARNING Training was done when torchrun ended with code -9\n")


def test_one_process_that_was_not_done_is_a_failure(capsys):
    code = run_processes([sys.executable, "-c", DONE, "1"], 2, StopRequest())

    assert (code, capsys.readouterr().out) == (1, "ERROR A training process was killed, perhaps for lack of memory\n")


def test_a_request_to_stop_reaches_the_processes_as_a_file_and_no_signal_ends_torchrun(tmp_path):
    asked = tmp_path / "asked"
    asked.touch()

    assert run_processes([sys.executable, "-c", WAITS], 2, StopRequest(str(asked))) == 0


@pytest.mark.parametrize(
    ("compute", "processes", "visible", "expected"),
    [
        ({}, 0, "0,1", ""),
        ({}, 2, None, ""),
        ({"gpus_per_node": 2}, 0, None, "0,1"),
        ({"gpus_per_node": 2}, 0, "4,5", "4,5"),
        ({"gpus_per_node": 2}, 1, "GPU-a,GPU-b", "GPU-a"),
    ],
)
def test_as_many_gpus_are_seen_as_there_are_processes(settings, compute, processes, visible, expected):
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}

    show_gpus(settings(compute=compute, processes_per_node=processes), environment)

    assert environment["CUDA_VISIBLE_DEVICES"] == expected


def test_lines_of_all_processes_but_the_first_are_marked(tmp_path):
    need_environment()
    script = tmp_path / "script.py"
    script.write_text("import os, sys\nprint('out', os.environ['RANK'])\nprint('err', file=sys.stderr)\n")
    code = (
        "from hf_sft.launcher import *; from hf_sft.stopping import StopRequest;"
        f"sys.exit(run_processes(torchrun_command({str(script)!r}, 2, None), 2, StopRequest()))"
    )
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": str(RECIPE)}

    done = subprocess.run(
        [PYTHON, "-c", code], env=environment, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["[rank 1] out 1", "out 0"]
    assert {"err", "[rank 1] err"} <= set(done.stderr.splitlines())
