"""Slurm's daemons killed under real trainers, each time on a cluster of its own."""

import contextlib

import pytest

from runs.executors import slurm
from runs.executors.base import ExecutorError
from tests.engines.slurm import Cluster
from tests.runs.executors.conftest import eventually, is_alive
from tests.runs.executors.training import slurm_executor, trained

pytestmark = pytest.mark.trainer


@pytest.fixture
def cluster(tmp_path):
    found = Cluster(tmp_path / "slurm", nodes=2, settings={"SLURM_MINJOBAGE": "5", "SLURM_NODE_TIMEOUT": "5"}).start()
    try:
        yield found
    finally:
        with contextlib.suppress(OSError):
            found.kill_controller()  # so that a broken one cannot hold up the end
        found.start_controller()
        found.stop()


@pytest.fixture
def executor(tmp_path, cluster):
    return slurm_executor(tmp_path, cluster)


def is_reached(training):
    try:
        return training.state()
    except ExecutorError:
        return None


def test_a_controller_killed_right_after_the_start_does_not_make_two_trainers(executor, tmp_path, cluster):
    with trained(executor, tmp_path / "attempts", saves=-1) as training:
        training.submit()  # it trains for some tenths of a second
        (first,) = training.pids()

        cluster.kill_controller()
        cluster.start_controller()  # it has forgotten the start, and starts the job again

        eventually(lambda: is_reached(training), 60)
        training.wait_for_state("ended")
        assert training.pids() == [first]
        assert not is_alive(first)
        assert training.recover()["runner_died"] is True
        assert len(training.hub.exits) == 1


def test_a_controller_that_is_away_disturbs_nothing(executor, tmp_path, cluster):
    with trained(executor, tmp_path / "attempts", saves=1, grace_seconds=60.0) as training:
        training.submit()
        eventually(lambda: training.state().state == "running" and cluster.call("squeue", "-h"), 60)
        cluster.call("scontrol", "reconfigure")  # has the controller write down what it knows
        cluster.kill_controller()

        eventually(lambda: is_reached(training) is None, 60)
        eventually(lambda: "does not answer" in " ".join(executor.problems()), 60)
        with pytest.raises(ExecutorError):
            executor.cancel(training.handle)
        with trained(executor, tmp_path / "attempts") as other, pytest.raises(ExecutorError):
            executor.submit(other.request())
        training.hub.order = "cancel"  # the order reaches the runner all the same

        report = training.wait_for_exit()
        assert (report["was_stopped"], report["exit_code"]) == (True, 0)
        cluster.start_controller()
        eventually(lambda: is_reached(training), 60)
        training.wait_for_state("ended", 120)


def test_a_node_that_fails_is_named_and_what_was_left_is_delivered(executor, tmp_path, cluster):
    with trained(executor, tmp_path / "attempts", saves=-1) as training:
        training.submit()
        (node,) = eventually(lambda: training.state().nodes, 60)

        cluster.kill_node(node)

        found = training.wait_for_state("ended", 150)
        assert (found.engine, found.ending) == ("NODE_FAIL", "node_failed")
        assert training.recover()["runner_died"] is True
        assert training.processes() == []


def test_a_job_that_slurm_has_forgotten_has_ended_after_a_second_look(executor, tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(slurm, "SECOND_LOOK_SECONDS", 1)
    with trained(executor, tmp_path / "attempts", trainer="print('training', flush=True)") as training:
        training.submit()
        assert training.wait_for_exit()["exit_code"] == 0
        listing = ("squeue", "-h", "-t", "all", f"--name={training.uid}")
        eventually(lambda: cluster.call(*listing) == "", 150)

        assert training.wait_for_state("ended").detail == "Slurm does not know the job any more"
        assert executor.submit(training.request()) == training.uid
        assert cluster.call(*listing) == ""
