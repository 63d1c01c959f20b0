"""A real training over the API: loss that falls, a cancel with its receipt, an exact resume, a damaged checkpoint."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.end_to_end.hub import Answer, Hub, eventually
from tests.end_to_end.simulated import parameters

# Large enough that a step takes some milliseconds: there must be time to cancel in between.
SMALL = {"n_layer": 2, "n_head": 2, "n_embd": 64, "context_length": 64, "eval_batches": 1, "sample_bytes": 16}
SMALL |= {"max_steps": 150, "log_interval": 1, "eval_interval": 50, "checkpoint_interval": 50}
ACCUMULATED = {"batch_size": 16, "gradient_accumulation": 4}
DEFAULT_SIZE = {"max_steps": 100_000, "eval_interval": 100_000, "checkpoint_interval": 100_000, "log_interval": 1}


def losses(hub: Hub, path: str) -> dict[int, float]:
    """The loss by step, every value to its last bit."""
    series = hub.series(path, "loss")
    assert not series["thinned"]
    return dict(zip(series["step"], series["value"], strict=True))


def cancel(hub: Hub, path: str) -> dict[str, Any]:
    """The run and its receipt, in the answer to a cancel that waited for the end."""
    answer = hub.call("POST", f"{path}/cancel")
    assert (answer.status, answer.body["status"]) == (200, "cancelled")
    run: dict[str, Any] = answer.body
    return run


def resume(hub: Hub, path: str, checkpoint: str) -> Answer:
    return hub.call("POST", f"{path}/resume?source_artifact_id={checkpoint}", {})


@pytest.mark.trainer
def test_the_loss_of_a_real_training_falls_by_more_than_half_within_a_minute(shared_hub: Hub) -> None:
    path = shared_hub.new_run(shared_hub.new_project(), recipe="tiny-gpt", model_parameters=DEFAULT_SIZE)
    shared_hub.wait_for_step(path, 1)

    def has_halved() -> bool:
        seen = list(losses(shared_hub, path).values())
        return seen[-1] < seen[0] / 2

    eventually(has_halved, "half the loss of the first step")

    receipt = cancel(shared_hub, path)["receipt"]
    assert (receipt["checkpoint"]["state"], receipt["checkpoint"]["is_final"]) == ("verified", True)
    assert receipt["checkpoint"]["step"] == max(losses(shared_hub, path))


@pytest.fixture(scope="module")
def whole_and_cancelled(shared_hub: Hub) -> tuple[str, str, dict[str, Any]]:
    """Two runs of the same training, side by side: one that is never interrupted, and one that was cancelled."""
    project = shared_hub.new_project()
    definition = {"recipe": "tiny-gpt", "model_parameters": SMALL, "hyperparameters": ACCUMULATED}
    cancelled, whole = (shared_hub.new_run(project, name=name, **definition) for name in ("cancelled", "whole"))
    shared_hub.wait_for_step(cancelled, 10)
    return whole, cancelled, cancel(shared_hub, cancelled)


@pytest.mark.trainer
def test_a_resumed_training_goes_on_at_the_next_step_as_if_it_had_never_stopped(
    shared_hub: Hub, whole_and_cancelled: tuple[str, str, dict[str, Any]]
) -> None:
    whole, cancelled, run = whole_and_cancelled
    checkpoint = run["receipt"]["checkpoint"]

    answer = resume(shared_hub, cancelled, checkpoint["id"])

    assert answer.status == 201
    assert answer.body["resumed_from"] == checkpoint["id"]
    resumed = cancelled.rpartition("/")[0] + "/" + answer.body["id"]
    for path in (resumed, whole):
        assert shared_hub.wait_for_status(path, "completed", "failed", seconds=120)["status"] == "completed"
    before, after, expected = (losses(shared_hub, path) for path in (cancelled, resumed, whole))
    assert (max(before), min(after)) == (checkpoint["step"], checkpoint["step"] + 1)
    assert 10 <= max(before) < 150
    assert before | after == expected
    assert len(expected) == 150


def test_a_damaged_checkpoint_is_not_resumed_from_and_the_file_is_named(shared_hub: Hub) -> None:
    path = shared_hub.new_run(shared_hub.new_project(), model_parameters=parameters(20))
    shared_hub.wait_for_status(path, "completed")
    checkpoint = shared_hub.wait_for_checkpoint(path)
    uid = checkpoint["id"]
    assert resume(shared_hub, path, uid).status == 201
    manifest = shared_hub.call("GET", f"{path}/artifacts/{uid}").body["files"]
    index = next(number for number, entry in enumerate(manifest) if entry["name"] == "weights.bin")
    stored = shared_hub.data / "store" / uid[-2:] / uid / f"{index:06d}"
    content = bytearray(stored.read_bytes())
    content[1000] ^= 1
    stored.write_bytes(content)
    before = shared_hub.call("GET", f"{path.rpartition('/')[0]}").body["total"]

    answer = resume(shared_hub, path, uid)

    assert (answer.status, answer.body["code"], answer.body["file"]) == (409, "artifact_damaged", "weights.bin")
    assert shared_hub.call("GET", f"{path}/artifacts/{uid}").body["state"] == "corrupt"
    assert shared_hub.call("GET", f"{path.rpartition('/')[0]}").body["total"] == before
    assert "artifact_damaged" in shared_hub.events(path)


def test_a_run_without_room_says_why_and_is_cancelled_at_once(shared_hub: Hub) -> None:
    path = shared_hub.new_run(shared_hub.new_project(), recipe="tiny-gpt", compute={"gpus_per_node": 8})
    eventually(lambda: shared_hub.run(path)["waiting_reason"], "a reason for waiting", 10)
    assert shared_hub.run(path)["waiting_reason"] == "Needs 1 × 8 GPUs, this executor has 0."

    started = time.monotonic()
    run = cancel(shared_hub, path)

    assert time.monotonic() - started < 2
    assert run["receipt"]["note"] == "The run was cancelled before its trainer started."
    assert shared_hub.events(path) == ["queued", "cancelled"]
    assert shared_hub.call("GET", f"{path}/attempts").body == []
