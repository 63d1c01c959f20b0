"""A program in a folder of the operator's, launched like any recipe."""

from __future__ import annotations

from tests.end_to_end.hub import Hub


def test_a_folder_with_a_program_is_launched_with_whatever_parameters(shared_hub: Hub) -> None:
    given = {"depth": [1, 2], "optimizer": "our own"}

    path = shared_hub.new_run(shared_hub.new_project(), recipe="bring-your-own", hyperparameters=given)

    run = shared_hub.wait_for_status(path, "completed", "failed")
    assert (run["status"], run["recipe"]) == ("completed", "bring-your-own")
    assert shared_hub.messages(path) == ['INFO given {"depth": [1, 2], "optimizer": "our own"}']
    assert shared_hub.series(path, "loss")["step"] == [1, 2, 3]
    assert shared_hub.wait_for_checkpoint(path)["step"] == 3
