"""What is special about the local executor: folders, locks, recoveries and GPUs."""

import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from runs.executors import folders
from runs.executors.base import ExecutorError, MissingExecutor, SubmitRequest
from runs.executors.local import LocalExecutor
from tests.runs.executors.conftest import eventually, is_alive


@pytest.fixture
def bench(local_bench):
    return local_bench


@pytest.fixture
def handle(bench):
    found = bench.executor.submit(bench.request("att_one"))
    bench.wait_for_runner("att_one")
    return found


def state(bench, handle="att_one"):
    return bench.executor.poll({"asked": handle})["asked"]


def kinds_of_starts(bench):
    return [line.split()[1] for line in (bench.attempts / "att_one" / "starts").read_text().splitlines()]


def prepare_folder(bench, **files):
    folder = bench.attempts / "att_one"
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("_json", ".json")).write_text(json.dumps(content))
    return folder


@pytest.fixture
def bystander():
    """A process that has nothing to do with any attempt."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_folder_and_order_can_be_read_by_their_owner_alone(bench, handle):
    folder = bench.attempts / handle
    order = json.loads((folder / "job.json").read_text())

    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "job.json").stat().st_mode & 0o777 == 0o600
    assert order == {
        "protocol": 1, "attempt": "att_one", "hub_url": "http://127.0.0.1:1", "token": "7" * 64, "claim_seconds": 3600,
    }  # fmt: skip


def test_the_runner_leads_a_session_of_its_own(bench, handle):
    pid = bench.wait_for_runner(handle)
    assert os.getsid(pid) == pid


def test_an_ended_runner_does_not_stay_as_a_zombie(bench, handle):
    pid = bench.wait_for_runner(handle)
    os.kill(pid, signal.SIGUSR1)

    eventually(lambda: folders.reap_children() or not os.path.exists(f"/proc/{pid}"))


def test_a_zombie_has_ended(bench, handle):
    pid = bench.wait_for_runner(handle)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(pid))

    assert os.path.exists(f"/proc/{pid}")  # nobody has collected it
    assert state(bench).state == "ended"


@pytest.mark.parametrize("files", [{}, {"job_json": {"attempt": "att_one"}}])
def test_a_submit_that_was_cut_off_before_the_start_is_made_up_for(bench, files):
    prepare_folder(bench, **files)

    bench.executor.submit(bench.request("att_one"))

    assert bench.wait_for_runner("att_one")
    assert json.loads((bench.attempts / "att_one" / "job.json").read_text())["token"] == "7" * 64


def test_a_folder_that_was_removed_has_ended(bench):
    assert state(bench, "att_gone").state == "ended"


def test_a_lock_that_cannot_be_tried_says_nothing(bench):
    folder = prepare_folder(bench)
    (folder / "attempt.lock").mkdir()

    assert state(bench).state == "unknown"


def test_two_who_look_at_once_do_not_take_each_other_for_the_runner(bench, handle):
    bench.kill(handle)
    with (bench.attempts / handle / "attempt.lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)

        assert state(bench).state == "ended"


def test_a_pid_that_belongs_to_somebody_else_now_is_left_alone(bench, handle, bystander):
    bench.kill(handle)
    record = {"pid": bystander.pid, "is_recovery": False}
    (bench.attempts / handle / "runner.json").write_text(json.dumps(record))

    bench.executor.cancel(handle, hard=True)

    assert bystander.poll() is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": null, "is_recovery": false}'])
def test_a_runner_whose_record_is_not_readable_is_not_signalled(bench, handle, content):
    (bench.attempts / handle / "runner.json").write_text(content)

    bench.executor.cancel(handle, hard=True)

    assert state(bench).state == "running"


def test_a_disk_that_refuses_the_folder_is_an_error_that_may_pass(bench):
    (bench.attempts / "att_one").write_text("in the way")

    with pytest.raises(ExecutorError, match="could not be made"):
        bench.executor.submit(bench.request("att_one"))


def test_a_recovery_is_started_for_a_dead_runner(bench, handle):
    bench.kill(handle)

    bench.executor.recover(handle)

    eventually(lambda: kinds_of_starts(bench) == ["runner", "recovery"])
    assert state(bench).state == "running"


def test_no_recovery_is_started_beside_a_living_runner(bench, handle):
    bench.executor.recover(handle)
    bench.executor.recover(handle)

    assert len(folders._children) == 1


def test_no_recovery_is_started_for_an_attempt_without_an_order(bench):
    prepare_folder(bench)

    bench.executor.recover("att_one")
    bench.executor.recover("att_unknown")

    assert folders._children == []


def test_a_recovery_that_failed_is_not_started_again_at_once(bench, handle):
    bench.kill(handle)
    bench.executor.recover(handle)
    eventually(lambda: len(bench.starts(handle)) == 2)
    bench.kill(handle)

    bench.executor.recover(handle)

    assert state(bench).state == "ended"


@pytest.mark.parametrize("age", [folders.RECOVER_AGAIN_SECONDS + 1, -3600])
def test_a_recovery_is_started_again_after_a_while_and_after_a_clock_set_back(bench, handle, age):
    bench.kill(handle)
    bench.executor.recover(handle)
    eventually(lambda: len(bench.starts(handle)) == 2)
    bench.kill(handle)
    moment = time.time() - age
    os.utime(bench.attempts / handle / "recovery", (moment, moment))

    bench.executor.recover(handle)

    eventually(lambda: kinds_of_starts(bench) == ["runner", "recovery", "recovery"])


@pytest.mark.parametrize("hard", [False, True])
def test_a_recovery_is_left_in_peace_by_a_cancel(bench, handle, hard):
    bench.kill(handle)
    bench.executor.recover(handle)
    eventually(lambda: len(bench.starts(handle)) == 2)

    bench.executor.cancel(handle, hard=hard)

    assert state(bench).state == "running"
    assert bench.signals(handle) == []


# --- What the machine has -------------------------------------------------------------------------
def test_the_given_gpus_are_the_ones_that_the_runner_sees(bench):
    bench.executor.submit(bench.request("att_one", gpu_indexes=(2, 5)))

    environment = Path(f"/proc/{bench.wait_for_runner('att_one')}/environ").read_bytes().split(b"\0")
    assert b"CUDA_VISIBLE_DEVICES=2,5" in environment


def test_a_run_without_gpus_on_a_machine_with_some_sees_none(bench):
    bench.executor.submit(bench.request("att_one", gpu_indexes=()))

    environment = Path(f"/proc/{bench.wait_for_runner('att_one')}/environ").read_bytes().split(b"\0")
    assert b"CUDA_VISIBLE_DEVICES=" in environment


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Return a function that puts a program of that name on the PATH; `calls` beside it has a line for each call."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def write(script):
        program = tmp_path / "nvidia-smi"
        program.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/calls\n{script}\n')
        program.chmod(0o755)

    return write


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'GPU 0: H (UUID: GPU-1)'; echo 'GPU 1: H (UUID: GPU-2)'", 2),
        ("echo 'No devices were found'", 0),
        ("echo 'No devices found.'; exit 6", 0),
    ],
)
def test_gpus_are_counted_with_nvidia_smi(tmp_path, nvidia_smi, script, expected):
    nvidia_smi(script)
    executor = LocalExecutor(attempts=tmp_path, slots=3)

    assert [executor.capacity().gpus for _ in range(3)] == [expected] * 3
    assert executor.problems() == []
    assert (tmp_path / "calls").read_text() == "-L\n"


def test_an_nvidia_smi_that_fails_is_told_in_the_log_and_not_asked_again_at_once(tmp_path, nvidia_smi, caplog):
    nvidia_smi("echo 'GPU 0: H'; exit 9")
    executor = LocalExecutor(attempts=tmp_path, slots=3)

    assert [executor.capacity().gpus for _ in range(3)] == [0, 0, 0]
    assert executor.problems() == []  # what needs no GPU starts
    assert caplog.text.count("nvidia-smi fails") == 1
    assert (tmp_path / "calls").read_text() == "-L\n"


def test_an_nvidia_smi_that_failed_is_asked_again_after_a_while(tmp_path, nvidia_smi, monkeypatch):
    nvidia_smi("exit 9")
    executor = LocalExecutor(attempts=tmp_path, slots=3)
    assert executor.capacity().gpus == 0

    nvidia_smi("echo 'GPU 0: H'; echo 'GPU 1: H'")
    monkeypatch.setattr("runs.executors.local.ASK_AGAIN_SECONDS", 0)

    assert executor.capacity().gpus == 2
    assert executor.problems() == []


def test_an_nvidia_smi_that_cannot_be_executed_fails(tmp_path, nvidia_smi, caplog):
    nvidia_smi("")
    (tmp_path / "nvidia-smi").write_text("#!/no/such/interpreter\n")

    assert LocalExecutor(attempts=tmp_path, slots=3).capacity().gpus == 0
    assert "nvidia-smi fails" in caplog.text


def test_a_machine_without_nvidia_smi_has_no_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    executor = LocalExecutor(attempts=tmp_path, slots=3)

    assert executor.capacity().gpus == 0
    assert executor.problems() == []


def test_the_given_number_of_gpus_is_believed(tmp_path):
    assert LocalExecutor(attempts=tmp_path, slots=3, gpus=8).capacity().gpus == 8


def test_a_handle_of_another_kind_of_executor_hides_nobody_else(tmp_path):
    states = LocalExecutor(attempts=tmp_path, slots=1, gpus=0).poll({"theirs": "att_one:7", "ours": "att_two"})

    assert {uid: state.state for uid, state in states.items()} == {"theirs": "unknown", "ours": "ended"}


def test_a_missing_folder_is_a_problem(tmp_path):
    executor = LocalExecutor(attempts=tmp_path / "gone", slots=1, gpus=0)
    assert executor.problems() == ["The attempts folder cannot be written."]


def test_a_nearly_full_disk_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MIN_FREE_BYTES", 2**80)
    assert "The disk of the attempts folder" in LocalExecutor(attempts=tmp_path, slots=1, gpus=0).problems()[0]


# --- An executor that is not configured any more ----------------------------------------------------
def test_a_missing_executor_knows_nothing_and_says_so(tmp_path):
    missing = MissingExecutor("slurm")
    request = SubmitRequest(name="att_one", folder=tmp_path, hub_url="", token="")

    assert missing.problems() == ["There is no executor slurm any more."]
    assert missing.poll({"asked": "7"})["asked"].state == "unknown"
    assert missing.capacity().slots == 0
    with pytest.raises(ExecutorError):
        missing.submit(request)
    with pytest.raises(ExecutorError):
        missing.cancel("7", hard=True)
