"""The program of the recipe script: the smallest that keeps the trainer's contract."""

import json
from pathlib import Path

STEPS = {"max_steps": 300}
ENDLESS = {"max_steps": 1_000_000}


def state_of(checkpoint: Path) -> dict:
    return json.loads(checkpoint.read_text())


def test_it_learns_the_line(launch):
    run = launch("script", model_parameters={"max_steps": 600}, hyperparameters={"learning_rate": 0.1})

    run.expect_end()
    last = state_of(run.checkpoints()[-1])
    assert (round(last["slope"]), round(last["offset"])) == (3, -1)
    assert run.metric("progress")[600] == 1.0


def test_it_saves_when_asked_to_stop_and_goes_on_as_if_it_had_not_been(launch):
    whole = launch("script", output="whole", model_parameters=STEPS)
    stopped = launch("script", output="stopped", model_parameters=ENDLESS)
    stopped.wait_for_step(50)
    stopped.terminate()
    stopped.expect_end()

    resumed = launch("script", output="resumed", model_parameters=STEPS, resume_from=stopped.checkpoints()[-1])

    whole.expect_end()
    resumed.expect_end()
    assert state_of(resumed.checkpoints()[-1]) == state_of(whole.checkpoints()[-1])
    assert not list(resumed.output_dir.rglob(".unfinished"))
