"""Real trainers under each executor: they are given the time to save, and ended when they do not use it."""

import json

import pytest

from runs.executors.base import SubmitRefused
from tests.runs.executors.conftest import eventually
from tests.runs.executors.training import local_executor, slurm_executor, trained

pytestmark = pytest.mark.trainer
ENVIRONMENT = """
import json, os, subprocess
from pathlib import Path
Path("environment").write_text(json.dumps(dict(os.environ)))
print("training", flush=True)
rank = "echo rank $SLURM_PROCID on $SLURMD_NODENAME"
subprocess.run(["srun", "--overlap", "-N1", "-n1", "sh", "-c", rank])
"""


@pytest.fixture
def on_slurm(tmp_path, slurm):
    return slurm_executor(tmp_path, slurm)


@pytest.fixture
def on_local(tmp_path):
    return local_executor(tmp_path)


@pytest.fixture(params=["local", "slurm"])
def executor(request):
    return request.getfixturevalue(f"on_{request.param}")


def test_a_save_may_take_longer_than_the_engine_itself_would_wait(executor, tmp_path):
    with trained(executor, tmp_path / "attempts", saves=8, grace_seconds=60.0) as training:  # Slurm's KillWait is 5 s
        training.submit()

        executor.cancel(training.handle)

        report = training.wait_for_exit()
        assert (report["was_stopped"], report["was_killed"], report["exit_code"]) == (True, False, 0)
        assert training.journal()[1:] == ["SIGTERM"]
        assert [one["state"] for one in training.hub.artifacts.values()] == ["verified"]
        training.wait_for_state("ended")


def test_a_trainer_that_does_not_stop_is_killed_after_its_time(executor, tmp_path):
    with trained(executor, tmp_path / "attempts", saves=-1, grace_seconds=1.0) as training:
        training.submit()

        executor.cancel(training.handle)

        report = training.wait_for_exit()
        assert (report["was_killed"], report["signal"]) == (True, 9)
        training.wait_for_state("ended")
        assert training.processes() == []


def test_a_hard_cancel_leaves_nothing_and_a_recovery_reports_it(executor, tmp_path):
    with trained(executor, tmp_path / "attempts", saves=-1, grace_seconds=600.0) as training:
        training.submit()

        executor.cancel(training.handle, hard=True)

        training.wait_for_state("ended")
        eventually(lambda: training.processes() == [])
        assert training.recover()["runner_died"] is True


def test_what_a_trainer_on_slurm_is_given(on_slurm, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JWT", "hush")
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")
    monkeypatch.setenv("DATABASE_URL", "hush")
    with trained(on_slurm, tmp_path / "attempts", trainer=ENVIRONMENT) as training:
        training.submit(gpus_per_node=2)
        assert training.wait_for_exit()["exit_code"] == 0

        given = json.loads((training.folder / "output" / "environment").read_text())
        assert "hush" not in given.values()
        assert (given["SLURM_JOB_NAME"], given["SLURM_NNODES"]) == (training.uid, "1")
        assert (given["SLURM_EXPORT_ENV"], "SLURM_STEP_ID" in given) == ("ALL", False)
        assert any(line.startswith("rank 0 on n") for line in training.hub.lines(0))
        assert (training.folder / "slurm.log").stat().st_mode & 0o077 == 0


def test_a_job_that_waits_says_why_and_is_cancelled_at_once(on_slurm, tmp_path):
    with trained(on_slurm, tmp_path / "attempts") as training:
        training.handle = on_slurm.submit(training.request(nodes=9))  # the cluster has three
        waiting = eventually(lambda: (found := training.state()).reason.startswith("PartitionConfig") and found)
        assert (waiting.state, waiting.engine) == ("queued", "PENDING")

        on_slurm.cancel(training.handle)

        ended = training.state()
        assert (ended.state, ended.ending) == ("ended", "cancelled")


def test_a_request_that_can_never_be_met_is_refused_in_slurms_own_words(on_slurm, tmp_path):
    refused = pytest.raises(SubmitRefused, match="Requested node configuration is not available")
    with trained(on_slurm, tmp_path / "attempts") as training, refused:
        on_slurm.submit(training.request(gpus_per_node=9))


def test_slurm_warns_of_the_time_limit_and_the_trainer_saves(on_slurm, tmp_path):
    with trained(on_slurm, tmp_path / "attempts", saves=1, grace_seconds=20.0) as training:
        training.submit(time_limit_minutes=1, grace_seconds=20.0)
        assert training.state().ends_at is not None

        report = training.wait_for_exit(150)

        assert (report["was_stopped"], report["was_killed"], report["exit_code"]) == (True, False, 0)
        assert training.journal()[1:] == ["SIGTERM"]
        assert [one["state"] for one in training.hub.artifacts.values()] == ["verified"]


def test_a_lost_handle_is_found_again_by_name(on_slurm, tmp_path, slurm):
    with trained(on_slurm, tmp_path / "attempts") as training:
        training.submit()

        again = slurm_executor(tmp_path, slurm).submit(training.request())

        assert again == training.handle
        assert len(training.pids()) == 1
