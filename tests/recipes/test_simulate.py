"""The simulate recipe, run as real processes."""

import json
import math

import pytest

QUICK = {"max_steps": 400, "eval_interval": 100, "steps_per_second": 2000}
SLOW = {"max_steps": 1000, "eval_interval": 500, "steps_per_second": 20}
METRICS = ["loss", "accuracy", "throughput_tokens_per_s", "gpu_utilization"]


def is_log_line(line):
    return not line.startswith("{")


def test_the_first_line_says_that_it_is_a_simulation(launch):
    run = launch("simulate", model_parameters=QUICK)
    run.wait_for(is_log_line)

    assert run.lines[0][1].startswith("INFO Simulation")


@pytest.mark.parametrize("steps_per_second", [0.5, 100, 10000])
def test_half_a_second_shows_three_log_lines_and_a_metric_at_any_pace(launch, steps_per_second):
    run = launch("simulate", model_parameters=SLOW | {"steps_per_second": steps_per_second})
    run.wait_for_step(1)

    log_times = [seconds for seconds, line in run.lines if is_log_line(line)]
    assert run.lines[-1][0] < 0.5
    assert len(set(log_times)) >= 3


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_finite_at_every_reported_step(launch, metric):
    run = launch("simulate", model_parameters=QUICK)
    run.exit_code()

    assert run.metric(metric)
    assert all(math.isfinite(value) for value in run.metric(metric).values())


def test_the_loss_falls_and_the_accuracy_rises(launch):
    run = launch("simulate", model_parameters=QUICK)
    run.exit_code()

    loss, accuracy = list(run.metric("loss").values()), list(run.metric("accuracy").values())
    assert loss[-1] < loss[0] / 2
    assert accuracy[-1] > accuracy[0] * 2


def test_a_checkpoint_and_an_evaluation_lie_at_each_interval(launch):
    run = launch("simulate", model_parameters=QUICK)
    run.expect_end()

    names = ["step-000100", "step-000200", "step-000300", "step-000400"]
    assert [path.name for path in run.checkpoints()] == names
    assert sorted(path.stem for path in run.output_dir.glob("evaluations/*.json")) == names


def test_checkpoints_can_have_an_interval_of_their_own(launch):
    run = launch("simulate", model_parameters=QUICK | {"checkpoint_interval": 150})
    run.exit_code()

    assert [path.name for path in run.checkpoints()] == ["step-000150", "step-000300", "step-000400"]


def test_equal_run_ids_give_equal_weights(launch):
    first, second = (launch("simulate", output, model_parameters=QUICK) for output in ("first", "second"))
    first.exit_code(), second.exit_code()

    weights = [(run.checkpoints()[-1] / "weights.bin").read_bytes() for run in (first, second)]
    assert weights[0] == weights[1]


def test_sigterm_saves_the_current_step_and_ends_well(launch):
    run = launch("simulate", model_parameters=SLOW)
    run.wait_for_step(4)
    run.terminate()
    run.expect_end()

    state = json.loads((run.checkpoints()[-1] / "state.json").read_text())
    assert 4 <= state["step"] < SLOW["max_steps"]


def test_a_resumed_run_goes_on_after_the_step_of_the_checkpoint(launch):
    first = launch("simulate", "first", model_parameters=QUICK)
    first.exit_code()
    resumed = launch("simulate", "resumed", model_parameters=QUICK, resume_from=first.checkpoints()[1])
    resumed.expect_end()

    assert min(resumed.metric("loss")) == 201


def test_a_resumed_run_repeats_the_numbers_of_the_uninterrupted_one(launch):
    whole = launch("simulate", "whole", model_parameters=QUICK)
    whole.exit_code()
    resumed = launch(
        "simulate", "resumed", model_parameters=QUICK, resume_from=whole.checkpoints()[1], run_id="another"
    )
    resumed.exit_code()

    assert resumed.metric("loss")[400] == whole.metric("loss")[400]


def test_resuming_at_the_end_has_nothing_to_do(launch):
    first = launch("simulate", "first", model_parameters=QUICK)
    first.exit_code()
    resumed = launch("simulate", "resumed", model_parameters=QUICK, resume_from=first.checkpoints()[-1])
    resumed.expect_end()

    assert resumed.last_line.startswith("INFO Nothing to do")


def test_fail_at_step_ends_with_an_error_that_says_so(launch):
    run = launch("simulate", model_parameters=QUICK | {"fail_at_step": 150})
    run.expect_end(1)

    assert run.last_line == "ERROR Simulated failure at step 150, as fail_at_step asks"


def test_a_missing_checkpoint_is_refused(launch, tmp_path):
    run = launch("simulate", model_parameters=QUICK, resume_from=tmp_path / "step-000100")
    run.expect_end(2)

    assert run.last_line.startswith("ERROR")
