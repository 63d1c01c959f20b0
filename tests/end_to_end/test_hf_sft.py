"""hf-sft on a real hub: launched, cancelled with a receipt, resumed, and its export stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.hub import Hub
from tests.recipes.hf_sft.environment import Inside, need_environment

pytestmark = pytest.mark.trainer
SMALL = {"base_model": "tiny-llama", "sequence_length": 64, "log_interval": 1, "export": "adapter"}
SMALL |= {"max_steps": 100_000, "checkpoint_interval": 100_000, "eval_interval": 100_000}
CONSTANT = {"lr_schedule": "constant", "warmup_steps": 0, "batch_size": 1, "gradient_accumulation": 1}
LOADING_SECONDS = 300.0  # torch and transformers, on a busy machine


@pytest.fixture(scope="module")
def tiny_llama(shared_hub: Hub) -> Path:
    """A tiny model and pairs, in the hub's own dataset folder."""
    need_environment()
    folder = shared_hub.data / "datasets"
    folder.mkdir(exist_ok=True)
    inside = Inside()
    try:
        inside.call("make_material", folder=folder)
    finally:
        inside.close()
    return folder / "tiny-llama"


def launch(hub: Hub, **values: Any) -> str:
    definition = {"recipe": "hf-sft", "dataset": "pairs", "model_parameters": SMALL, "hyperparameters": CONSTANT}
    return hub.new_run(hub.new_project(), **(definition | values))


def losses(hub: Hub, path: str) -> dict[int, float]:
    series = hub.series(path, "loss")
    return dict(zip(series["step"], series["value"], strict=True))


@pytest.mark.usefixtures("tiny_llama")
def test_a_cancelled_fine_tuning_has_a_receipt_and_goes_on_where_it_was(shared_hub: Hub) -> None:
    path = launch(shared_hub)
    shared_hub.wait_for_step(path, 5, seconds=LOADING_SECONDS)

    receipt = shared_hub.call("POST", f"{path}/cancel").body["receipt"]

    checkpoint = receipt["checkpoint"]
    assert (checkpoint["state"], checkpoint["is_final"]) == ("verified", True)
    assert checkpoint["step"] == max(losses(shared_hub, path))
    last_step = checkpoint["step"] + 3
    answer = shared_hub.call(
        "POST",
        f"{path}/resume?source_artifact_id={checkpoint['id']}",
        {"model_parameters": {"max_steps": last_step}},
    )
    assert answer.status == 201
    resumed = f"{path.rpartition('/')[0]}/{answer.body['id']}"
    run = shared_hub.wait_for_status(resumed, "completed", "failed", seconds=LOADING_SECONDS)
    assert (run["status"], run["progress"]) == ("completed", 1.0)
    assert list(losses(shared_hub, resumed)) == [last_step - 2, last_step - 1, last_step]
    stored = {
        item["name"]: (item["type"], item["state"], item["step"])
        for item in shared_hub.call("GET", f"{resumed}/artifacts").body["items"]
    }
    assert stored["export-adapter"] == ("checkpoint", "verified", None)
    assert stored[f"Checkpoint @ step {last_step}"] == ("checkpoint", "verified", last_step)


@pytest.mark.usefixtures("tiny_llama")
def test_a_bad_line_of_the_data_is_the_reason_of_the_failure(shared_hub: Hub) -> None:
    data: Path = shared_hub.data / "datasets" / "bad.jsonl"
    data.write_text('{"text": "one"}\n{"question": "two"}\n')

    path = launch(shared_hub, dataset="bad.jsonl", max_restarts=0)

    run = shared_hub.wait_for_status(path, "failed", "completed", seconds=LOADING_SECONDS)
    assert run["status"] == "failed"
    shared_hub.wait_for_line(path, "This run cannot start: bad.jsonl, line 2: a record must have messages")
