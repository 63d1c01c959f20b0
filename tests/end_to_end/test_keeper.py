"""What `make up` keeps running: web and scheduler are started again when they die; Ctrl-C ends them and no run."""

from __future__ import annotations

import signal

from tests.end_to_end.hub import Hub, eventually, is_alive, kill
from tests.end_to_end.simulated import assert_whole, parameters


def start_run(hub: Hub, given: dict[str, int]) -> str:
    path = hub.new_run(hub.new_project(), model_parameters=given)
    hub.wait_for_step(path, given["eval_interval"])
    return path


def printed(hub: Hub) -> str:
    return (hub.data / "keeper.log").read_text()


def test_what_dies_is_started_again_and_the_run_does_not_notice(idle_hub: Hub) -> None:
    idle_hub.start_keeper()
    given = parameters(400)
    path = start_run(idle_hub, given)
    (scheduler,) = idle_hub.kept("manage.py")
    keeper, *others = sorted(idle_hub.server_pids())
    (web,) = idle_hub.kept("gunicorn")

    kill(web)
    kill(scheduler)

    eventually(lambda: not any(map(is_alive, others)), "the end of the web server's workers, too")
    eventually(lambda: idle_hub.kept("manage.py") and idle_hub.is_up(), "another scheduler and web server")
    assert is_alive(keeper)
    other = idle_hub.new_run(idle_hub.new_project(), model_parameters=parameters(20))
    assert idle_hub.wait_for_status(other, "completed", "failed")["status"] == "completed"
    assert idle_hub.wait_for_status(path, "completed", "failed")["status"] == "completed"
    assert_whole(idle_hub, path, given)
    assert "web ended with code -9; starting it again." in printed(idle_hub)


def test_ctrl_c_ends_web_and_scheduler_and_leaves_the_run_to_the_next_start(idle_hub: Hub) -> None:
    idle_hub.start_keeper()
    given = parameters(400)
    path = start_run(idle_hub, given)
    (runner,) = idle_hub.runner_pids()
    keeper = idle_hub.keeper
    assert keeper

    kill(keeper.pid, signal.SIGINT)

    assert keeper.wait(20) == 0
    assert idle_hub.server_pids() == []
    assert is_alive(runner)
    assert "Runs go on; they are found again at the next start." in printed(idle_hub)
    assert "Traceback" not in printed(idle_hub)
    idle_hub.start_keeper()
    assert idle_hub.wait_for_status(path, "completed", "failed")["status"] == "completed"
    assert_whole(idle_hub, path, given)
    assert len(idle_hub.call("GET", f"{path}/attempts").body) == 1


def test_a_hub_that_cannot_start_is_given_up_with_a_word(idle_hub: Hub) -> None:
    idle_hub.environment["TRAINHUB_WEB_WORKERS"] = "many"

    keeper = idle_hub.spawn_keeper()

    assert keeper.wait(60) == 1
    assert "web keeps ending at once; giving up." in printed(idle_hub)
    assert idle_hub.server_pids() == []
