"""kill -9 of web and scheduler in the middle of a run: the run goes on, and nothing that it said is lost or doubled."""

from __future__ import annotations

import signal
import time

import pytest

from tests.end_to_end.hub import Hub, eventually, is_alive, kill
from tests.end_to_end.simulated import assert_whole, parameters


def spooled(hub: Hub, path: str) -> int:
    """How many log batches wait on the node."""
    return len(list((hub.data / "attempts" / path / "spool" / "logs").glob("*.json")))


def start_run(hub: Hub, given: dict[str, int]) -> tuple[str, str]:
    """A run that trains, and the name of its attempt."""
    path = hub.new_run(hub.new_project(), model_parameters=given)
    hub.wait_for_step(path, given["eval_interval"])
    return path, hub.attempt_of(path)["id"]


def test_a_run_goes_on_while_web_is_away_and_everything_arrives_afterwards(own_hub: Hub) -> None:
    given = parameters(400)
    path, attempt = start_run(own_hub, given)
    trainers = own_hub.trainer_pids(attempt)

    own_hub.kill_web()
    eventually(lambda: spooled(own_hub, attempt) >= 10, "ten batches of lines that wait for web")
    assert own_hub.trainer_pids(attempt) == trainers
    own_hub.start_web()

    run = own_hub.wait_for_status(path, "completed", "failed", "cancelled")
    assert run["status"] == "completed"
    assert_whole(own_hub, path, given)
    assert own_hub.events(path).count("running") == 1


def test_a_run_that_ends_while_everything_is_away_is_reported_afterwards(own_hub: Hub) -> None:
    given = parameters(120)
    path, attempt = start_run(own_hub, given)

    own_hub.kill_web()
    own_hub.kill_scheduler()
    eventually((own_hub.data / "attempts" / attempt / "exit.json").exists, "the trainer's end")
    own_hub.start()

    assert own_hub.wait_for_status(path, "completed", "failed", "cancelled")["status"] == "completed"
    assert_whole(own_hub, path, given)
    assert len(own_hub.call("GET", f"{path}/attempts").body) == 1


def test_a_scheduler_that_comes_back_adopts_the_run_and_can_cancel_it(own_hub: Hub) -> None:
    path, attempt = start_run(own_hub, parameters(100_000))
    runners = own_hub.runner_pids()

    own_hub.kill_scheduler()
    assert own_hub.runner_pids() == runners
    own_hub.start_scheduler()
    other = own_hub.new_run(own_hub.new_project(), model_parameters=parameters(20))
    assert own_hub.wait_for_status(other, "completed", "failed")["status"] == "completed"
    answer = own_hub.call("POST", f"{path}/cancel")

    assert (answer.status, answer.body["status"]) == (200, "cancelled")
    assert answer.body["receipt"]["checkpoint"]["is_final"]
    assert [one["id"] for one in own_hub.call("GET", f"{path}/attempts").body] == [attempt]
    eventually(lambda: not own_hub.processes(), "the end of all processes")


def test_a_cancel_needs_no_scheduler(own_hub: Hub) -> None:
    path, _ = start_run(own_hub, parameters(100_000))
    own_hub.kill_scheduler()

    answer = own_hub.call("POST", f"{path}/cancel")

    assert (answer.status, answer.body["status"]) == (200, "cancelled")
    assert answer.body["receipt"]["checkpoint"]["is_final"]
    assert own_hub.events(path).count("signalled") == 1


def test_a_cancel_that_nobody_could_deliver_is_carried_out_by_the_next_scheduler(own_hub: Hub) -> None:
    path, _ = start_run(own_hub, parameters(100_000))
    (runner,) = own_hub.runner_pids()
    own_hub.kill_scheduler()
    kill(runner, signal.SIGSTOP)

    answer = own_hub.call("POST", f"{path}/cancel", headers={"Prefer": "wait=0"})
    assert (answer.status, answer.body["status"]) == (202, "cancelling")
    own_hub.start_scheduler()
    kill(runner, signal.SIGCONT)

    run = own_hub.wait_for_status(path, "cancelled", "failed", "completed")
    assert run["status"] == "cancelled"
    assert run["receipt"]["checkpoint"]["is_final"]


@pytest.mark.parametrize("is_submitted", [False, True])
def test_a_start_that_the_scheduler_did_not_finish_is_finished_once(own_hub: Hub, is_submitted: bool) -> None:
    """Killed between recording and submitting an attempt, and between submitting it and noting that."""
    own_hub.kill_scheduler()
    path = own_hub.new_run(own_hub.new_project(), model_parameters=parameters(20))
    own_hub.manage("shell", "--command", SUBMITTED if is_submitted else RECORDED)
    assert own_hub.run(path)["status"] in {"starting", "running", "completed"}

    own_hub.start_scheduler()

    assert own_hub.wait_for_status(path, "completed", "failed")["status"] == "completed"
    assert_whole(own_hub, path, parameters(20))
    assert len(own_hub.call("GET", f"{path}/attempts").body) == 1


RECORDED = """
from runs.attempts import open_attempt
from runs.models import Run
open_attempt(run=Run.objects.get(), gpu_indexes=[])
"""
SUBMITTED = f"""{RECORDED}
from runs.models import Attempt
from runs.registry import executors
from runs.scheduler.start import _request
executors()["local"].submit(_request(Attempt.objects.get(), executors()["local"]))
"""


def test_a_run_that_starts_while_web_is_away_is_given_its_time_when_web_is_back(idle_hub: Hub) -> None:
    idle_hub.environment["TRAINHUB_START_LIMIT"] = "2"
    idle_hub.start()
    idle_hub.kill_scheduler()
    path = idle_hub.new_run(idle_hub.new_project(), model_parameters=parameters(20))
    idle_hub.kill_web()

    idle_hub.start_scheduler()
    eventually(idle_hub.runner_pids, "a runner")
    log = idle_hub.data / "scheduler.log"
    eventually(lambda: "silent runners are given more time" in log.read_text(), "that web is missed")
    time.sleep(4)  # twice the limit
    idle_hub.start_web()

    assert idle_hub.wait_for_status(path, "completed", "failed")["status"] == "completed"
    assert len(idle_hub.call("GET", f"{path}/attempts").body) == 1


def test_a_silent_node_is_shown_and_forgiven(idle_hub: Hub) -> None:
    idle_hub.environment["TRAINHUB_UNREACHABLE_AFTER"] = "2"
    given = parameters(400)
    path, _ = start_run(idle_hub.start(), given)
    (runner,) = idle_hub.runner_pids()

    kill(runner, signal.SIGSTOP)
    eventually(lambda: idle_hub.run(path)["is_unreachable"], "that the node is unreachable")
    assert idle_hub.run(path)["status"] == "running"
    kill(runner, signal.SIGCONT)

    eventually(lambda: not idle_hub.run(path)["is_unreachable"], "that the node is back")
    assert idle_hub.wait_for_status(path, "completed", "failed")["status"] == "completed"
    assert_whole(idle_hub, path, given)


def test_a_runner_that_does_not_react_is_ended_with_its_trainer_after_the_grace_period(own_hub: Hub) -> None:
    path = own_hub.new_run(own_hub.new_project(), recipe="unruly", model_parameters={"daemons": 2})
    own_hub.wait_for_line(path, "daemons are up")
    (runner,) = own_hub.runner_pids()
    kill(runner, signal.SIGSTOP)

    answer = own_hub.call("POST", f"{path}/cancel")

    assert (answer.status, answer.body["status"]) == (200, "cancelled")
    assert "killed" in own_hub.events(path)
    assert not is_alive(runner)
    eventually(lambda: not own_hub.processes(), "the end of all processes")
