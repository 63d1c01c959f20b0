"""A real training over the API: loss that falls, a cancel with its receipt, an exact resume, a damaged checkpoint."""

from __future__ import annotations

from typing import Any

from tests.end_to_end.hub import Hub
from tests.end_to_end.simulated import parameters

# A step takes some 20 ms on one core, so that there is time to cancel in between.
SMALL = {"n_layer": 2, "n_head": 2, "n_embd": 64, "context_length": 64, "eval_batches": 1, "sample_bytes": 16}
SMALL |= {"max_steps": 120, "log_interval": 1, "eval_interval": 50, "checkpoint_interval": 50}
ENDLESS = {"max_steps": 100_000, "eval_interval": 100_000, "checkpoint_interval": 100_000, "log_interval": 5}


def losses(hub: Hub, path: str) -> dict[int, float]:
    """The loss by step, every value to its last bit."""
    series = hub.series(path, "loss")
    assert not series["thinned"]
    return dict(zip(series["step"], series["value"], strict=True))


def cancel(hub: Hub, path: str) -> dict[str, Any]:
    """The answer to a cancel that shows the end."""
    answer = hub.call("POST", f"{path}/cancel")
    assert (answer.status, answer.body["status"]) == (200, "cancelled")
    body: dict[str, Any] = answer.body
    return body


def resume(hub: Hub, path: str, checkpoint: str) -> Any:
    project = path.split("/")[2]
    run = path.split("/")[4]
    body = {"source_artifact_id": checkpoint}
    return hub.call("POST", f"/projects/{project}/runs/{run}/resume", body)


def test_the_loss_of_a_real_training_falls_by_more_than_half_within_a_minute(shared_hub: Hub) -> None:
    path = shared_hub.new_run(shared_hub.new_project(), recipe="tiny-gpt", model_parameters=ENDLESS)
    from tests.end_to_end.hub import eventually

    def has_halved() -> bool:
        found = list(losses(shared_hub, path).values()) if shared_hub.run(path)["metrics"] else []
        return bool(found) and found[-1] < found[0] / 2

    eventually(has_halved, "half the loss", 60)

    receipt = cancel(shared_hub, path)["receipt"]
    assert receipt["checkpoint"]["state"] == "verified"
    assert receipt["checkpoint"]["is_final"]
