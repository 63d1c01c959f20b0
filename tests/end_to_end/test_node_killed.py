"""kill -9 of runner and trainer in the middle of a run: noticed in seconds, told truthfully, restarted when asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.end_to_end.hub import Hub, eventually, is_alive, kill
from tests.end_to_end.simulated import curves, expected_lines, expected_steps, parameters

DEATH_SECONDS = 60  # promise: noticed within this


def start_run(hub: Hub, given: dict[str, Any], **values: Any) -> tuple[str, int, int]:
    """A run that trains and has saved; its path and the pids of runner and trainer."""
    path = hub.new_run(hub.new_project(), model_parameters=given, **values)
    hub.wait_for_checkpoint(path)
    hub.wait_for_step(path, given["eval_interval"])
    (runner,) = [pid for pid in hub.runner_pids() if hub.attempt_of(path)["id"] in cmdline(pid)]
    trainer = hub.call("GET", f"{path}/events?page_size=100").body["items"]
    started = next(event for event in trainer if event["kind"] == "running")
    return path, runner, started["evidence"]["trainer_pid"]


def cmdline(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline") as file:
        return file.read()


def token_of(hub: Hub, path: str) -> str:
    return str(json.loads((hub.folder_of(path) / "job.json").read_text())["token"])


def beat(hub: Hub, token: str) -> Any:
    body = {"phase": "training", "progress": None, "sent_at_ms": 0}
    return hub.call("POST", "/node/heartbeat", body, token=token)


def test_a_dead_runner_takes_its_trainer_along_and_fails_the_run(shared_hub: Hub) -> None:
    given = parameters(100_000)
    path, runner, trainer = start_run(shared_hub, given)
    token = token_of(shared_hub, path)

    kill(runner)

    eventually(lambda: not is_alive(trainer), "the trainer's end", 10)
    run = shared_hub.wait_for_status(path, "failed", "completed", "cancelled", seconds=DEATH_SECONDS)
    assert (run["status"], run["reason"]) == ("failed", "runner_died")
    said = shared_hub.messages(path)
    assert said == expected_lines(path.rpartition("/")[2], given)[: len(said)]
    assert shared_hub.messages(path, "trainhub") == ["The runner died; up to the last second of output may be missing."]
    assert (beat(shared_hub, token).status, beat(shared_hub, token).body["code"]) == (409, "fenced")


def test_what_a_dead_runner_had_on_disk_is_delivered(own_hub: Hub) -> None:
    given = parameters(100_000)
    path, runner, trainer = start_run(own_hub, given)
    spool = own_hub.folder_of(path) / "spool"
    own_hub.kill_web()
    eventually(lambda: len(list((spool / "logs").glob("*.json"))) >= 4, "batches that wait for web")

    kill(runner)
    eventually(lambda: not is_alive(trainer), "the trainer's end", 10)
    waiting = [json.loads(file.read_text()) for file in sorted((spool / "logs").glob("*.json"))]
    points = [json.loads(file.read_text()) for file in sorted((spool / "metrics").glob("*.json"))]
    own_hub.start_web()

    run = own_hub.wait_for_status(path, "failed", "completed", "cancelled", seconds=DEATH_SECONDS)
    said = own_hub.messages(path)
    columns = [batch["lines"] for batch in waiting]
    last_line = [
        text for one in columns for text, stream in zip(one["text"], one["stream"], strict=True) if stream == 0
    ][-1]
    last_step = [step for batch in points for step in batch["metrics"].get("loss", {"step": []})["step"]][-1]
    assert (run["status"], run["reason"]) == ("failed", "runner_died")
    assert said == expected_lines(path.rpartition("/")[2], given)[: len(said)]
    assert last_line in said
    assert own_hub.series(path, "loss")["step"] == expected_steps(given, last=last_step)


def test_a_run_whose_runner_died_is_restarted_from_its_newest_checkpoint(shared_hub: Hub) -> None:
    given = parameters(240)
    path, runner, _ = start_run(shared_hub, given, max_restarts=1)
    token = token_of(shared_hub, path)

    kill(runner)

    run = shared_hub.wait_for_status(path, "completed", "failed", "cancelled", seconds=DEATH_SECONDS + 30)
    first, second = shared_hub.call("GET", f"{path}/attempts").body
    assert run["status"] == "completed"
    assert (first["reason"], second["reason"]) == ("runner_died", "finished")
    checkpoints = {one["id"]: one for one in run["artifacts"] if one["type"] == "checkpoint"}
    restored = checkpoints[second["resumed_from"]]["step"]
    assert [line for line in shared_hub.messages(path) if "Resuming" in line] == [
        f"INFO Resuming after step {restored}"
    ]
    series = shared_hub.series(path, "loss")
    again = [step for step, number in zip(series["step"], series["attempt"], strict=True) if number == 2]
    assert again == expected_steps(given, first=restored + 1)
    lost = set(expected_steps(given)) - set(series["step"])
    assert all(restored - 2 * given["steps_per_second"] < step <= restored for step in lost)  # the runner's last second
    seed = path.rpartition("/")[2]
    assert series["value"] == [curves.metrics_at(seed, step, 240)["loss"] for step in series["step"]]
    assert beat(shared_hub, token).status == 409
    assert [kind for kind in shared_hub.events(path) if kind in {"starting", "running", "queued"}] == [
        *("queued", "starting", "running"),
        *("queued", "starting", "running"),
    ]


def test_a_trainer_that_was_killed_is_named_with_its_signal(shared_hub: Hub) -> None:
    path, _, trainer = start_run(shared_hub, parameters(100_000))

    kill(trainer)

    run = shared_hub.wait_for_status(path, "failed", "completed", "cancelled", seconds=DEATH_SECONDS)
    attempt = shared_hub.attempt_of(path)
    assert (run["status"], run["reason"]) == ("failed", "trainer_killed")
    assert (attempt["signal"], attempt["exit_code"]) == (9, None)
    assert run["reason_text"] == "A signal that trainhub did not send ended the trainer. Signal 9."


def test_a_run_that_crashes_again_and_again_fails_when_its_restarts_are_used_up(shared_hub: Hub) -> None:
    given = {**parameters(60), "fail_at_step": 30}
    path = shared_hub.new_run(shared_hub.new_project(), model_parameters=given, max_restarts=2)

    run = shared_hub.wait_for_status(path, "failed", "completed", "cancelled")

    attempts = shared_hub.call("GET", f"{path}/attempts").body
    assert (run["status"], run["reason"]) == ("failed", "trainer_failed")
    assert [(one["number"], one["exit_code"], one["reason"]) for one in attempts] == [
        (number, 1, "trainer_failed") for number in (1, 2, 3)
    ]
    assert shared_hub.messages(path).count("INFO Resuming after step 20") == 2


@pytest.mark.parametrize("then", ["stay", "finish"])
def test_nothing_that_a_trainer_started_outlives_it(shared_hub: Hub, then: str) -> None:
    path = shared_hub.new_run(shared_hub.new_project(), recipe="unruly", model_parameters={"then": then})
    shared_hub.wait_for_line(path, "daemons are up")
    attempt = shared_hub.attempt_of(path)["id"]

    answer = shared_hub.call("POST", f"{path}/cancel") if then == "stay" else None

    run = shared_hub.wait_for_status(path, "cancelled", "completed", "failed", seconds=20)
    assert run["status"] == ("cancelled" if answer else "completed")
    assert answer is None or answer.status == 200
    ours = [pid for pid in shared_hub.processes() if attempt in environment(pid) or attempt in cmdline_or_nothing(pid)]
    assert ours == []


def cmdline_or_nothing(pid: int) -> str:
    try:
        return cmdline(pid)
    except OSError:
        return ""


def environment(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/environ", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def test_a_trainer_that_ignores_the_request_to_stop_is_killed_after_its_grace_period(shared_hub: Hub) -> None:
    path = shared_hub.new_run(shared_hub.new_project(), recipe="unruly")
    shared_hub.wait_for_line(path, "daemons are up")

    answer = shared_hub.call("POST", f"{path}/cancel")

    receipt = answer.body["receipt"]
    assert (answer.status, answer.body["status"]) == (200, "cancelled")
    assert shared_hub.attempt_of(path)["signal"] == 9
    assert answer.body["reason_text"].endswith("It did not stop within the grace period and was killed.")
    assert receipt["signalled_at"] is not None
    assert (receipt["checkpoint"], receipt["note"]) == (None, "The trainer ended without writing a checkpoint.")


def test_a_failure_shows_the_trainers_last_words(shared_hub: Hub) -> None:
    path = shared_hub.new_run(shared_hub.new_project(), recipe="unruly", model_parameters={"then": "fail"})

    run = shared_hub.wait_for_status(path, "failed", "completed")

    assert run["reason"] == "trainer_failed"
    assert run["reason_text"] == "The trainer ended with an error. Exit code 3. ValueError: the data ran out"
    assert shared_hub.messages(path, "stderr")[-1] == "ValueError: the data ran out"


def test_the_trainer_learns_none_of_the_hubs_secrets(shared_hub: Hub) -> None:
    path, runner, trainer = start_run(shared_hub, parameters(100_000))
    key = (shared_hub.data / "secrets" / "secret_key").read_text().strip()
    hidden = [key, token_of(shared_hub, path), "DATABASE_URL", "TRAINHUB_DATA="]

    seen = environment(trainer) + cmdline(trainer) + environment(runner) + cmdline(runner)

    assert "TRAINHUB_CONFIG=" in seen
    assert not [word for word in hidden if word in seen]
    assert shared_hub.call("POST", f"{path}/cancel").body["status"] == "cancelled"
