"""Runs on a real Slurm, through the API of a real hub: cancelled, resumed elsewhere, waiting, without a controller."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.hub import Hub, eventually
from tests.end_to_end.simulated import assert_whole, parameters
from tests.end_to_end.test_checkpoints import SMALL, cancel, losses
from tests.engines.slurm import Cluster

EXECUTORS = """
[executors.local]
kind = "local"
slots = 4
gpus = 0

[executors.cluster]
kind = "slurm"
nodes = 9
gpus = 6
slots = 20
python = "{python}"
slurm_conf = "{conf}"
poll_seconds = 0.5
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of the test's own: it is taken away from the hub."""
    found = Cluster(tmp_path / "slurm", nodes=2, settings={"SLURM_NODE_TIMEOUT": "120"}).start()
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def hub(own_hub: Hub, cluster: Cluster) -> Hub:
    """A hub with this machine and the cluster."""
    text = EXECUTORS.format(python=sys.executable, conf=cluster.conf)
    (own_hub.data / "executors.toml").write_text(text)
    return own_hub


def test_trained_on_slurm_cancelled_and_resumed_on_this_machine(hub: Hub) -> None:
    project = hub.new_project()
    given = {"recipe": "tiny-gpt", "model_parameters": {**SMALL, "max_steps": 100_000}}
    path = hub.new_run(project, executor="cluster", **given)
    hub.wait_for_step(path, 10, seconds=120)

    run = cancel(hub, path)

    checkpoint, attempt = run["receipt"]["checkpoint"], hub.attempt_of(path)
    assert (checkpoint["state"], checkpoint["is_final"]) == ("verified", True)
    assert (attempt["executor"], len(attempt["nodes"]), attempt["exit_code"]) == ("cluster", 1, 0)
    changes = {"executor": "local", "model_parameters": {**SMALL, "max_steps": checkpoint["step"] + 20}}
    answer = hub.call("POST", f"{path}/resume?source_artifact_id={checkpoint['id']}", changes)
    assert answer.status == 201, answer.body
    resumed = f"{path.rpartition('/')[0]}/{answer.body['id']}"
    run = hub.wait_for_status(resumed, "completed", "failed", seconds=120)
    assert (run["status"], run["executor"]) == ("completed", "local")
    before, after = losses(hub, path), losses(hub, resumed)
    assert list(before | after) == list(range(1, checkpoint["step"] + 21))
    assert min(after) == checkpoint["step"] + 1


def test_a_run_that_waits_in_slurms_queue_says_why_and_is_cancelled_at_once(hub: Hub, cluster: Cluster) -> None:
    cluster.call("scontrol", "update", "partitionname=main", "state=down")
    path = hub.new_run(hub.new_project(), executor="cluster")

    def reason() -> str:
        return str(hub.run(path)["waiting_reason"])

    eventually(lambda: reason() == "PartitionDown: The partition is down.", "Slurm's reason, explained", 60)
    assert (hub.run(path)["status"], hub.attempt_of(path)["engine_state"]) == ("starting", "PENDING")

    cancel(hub, path)

    assert cluster.call("squeue", "-h") == ""
    assert hub.events(path)[-2:] == ["cancelling", "cancelled"]


def test_nothing_is_lost_while_the_controller_is_away(hub: Hub, cluster: Cluster) -> None:
    given = parameters(400)
    project = hub.new_project()
    path = hub.new_run(project, executor="cluster", model_parameters=given)
    hub.wait_for_step(path, 20)
    eventually(lambda: hub.attempt_of(path)["engine_state"] == "RUNNING", "Slurm's word", 60)

    cluster.kill_controller()

    later = hub.new_run(project, executor="cluster", model_parameters=parameters(40))
    run = hub.wait_for_status(path, "completed", "failed", "cancelled", seconds=120)
    assert run["status"] == "completed"
    assert_whole(hub, path, given)
    # As it was noticed before the hand-over or during it.
    reasons = ("Slurm does not answer", "Not handed over yet")
    eventually(lambda: hub.run(later)["waiting_reason"].startswith(reasons), "why the other waits", 60)
    cluster.start_controller()
    assert hub.wait_for_status(later, "completed", "failed", seconds=180)["status"] == "completed"
    assert len(hub.call("GET", f"{later}/attempts").body) == 1
