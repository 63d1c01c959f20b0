"""hf-sft trained as a real process: learning, stopping, resuming exactly, exporting."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.recipes.hf_sft.environment import ONE_THREAD, need_environment, once
from tests.recipes.trainer_process import TrainerProcess

SMALL = {"base_model": "tiny-llama", "max_steps": 24, "log_interval": 1, "eval_interval": 7, "checkpoint_interval": 10}
SMALL |= {"sequence_length": 128, "eval_examples": 20, "lora_dropout": 0.1}
FAST = {"learning_rate": 0.01, "warmup_steps": 2, "batch_size": 2, "gradient_accumulation": 2}
LORA = SMALL | {"lora_rank": 8, "export": "model"}
FULL = SMALL | {"method": "full", "packing": False, "gradient_checkpointing": True, "export": "model"}
ENDLESS = {"max_steps": 1_000_000, "eval_interval": 1_000_000, "checkpoint_interval": 1_000_000, "export": "none"}
# The settings, and the step after which the run is stopped.
WAYS = {"lora": (LORA, 9), "full": (FULL, 13)}


def start(output: Path, material: Path, model_parameters: dict[str, Any], **options: Any) -> TrainerProcess:
    """Start the recipe on the pairs."""
    given = {"dataset": "pairs", "dataset_roots": (material,), "hyperparameters": FAST, "environment": ONE_THREAD}
    return TrainerProcess("hf-sft", output, model_parameters=model_parameters, **(given | options))


def lines_of(folder: Path) -> list[str]:
    """Return what a finished run printed, as `keep` wrote it."""
    return json.loads((folder / "lines.json").read_text())


def metric(folder: Path, name: str) -> dict[int, float]:
    """One metric of a finished run by step."""
    reports = [json.loads(line) for line in lines_of(folder) if line.startswith("{")]
    return {report["step"]: report[name] for report in reports if name in report}


def keep(run: TrainerProcess) -> None:
    """Wait for a good end, and write down what was printed."""
    run.expect_end()
    (run.output_dir / "lines.json").write_text(json.dumps([line for _, line in run.lines]))


def checkpoints(folder: Path) -> list[str]:
    """Names of what lies among the checkpoints, hidden ones included."""
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


@pytest.fixture(scope="session", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """LoRA with packing, or all weights without it."""
    need_environment()
    return request.param


@pytest.fixture(scope="session")
def runs(way: str, shared_place: Path, material: Path) -> Path:
    """A training that was never interrupted (`whole`), and one that was stopped and resumed (`stopped`, `resumed`)."""
    parameters, stop_after = WAYS[way]

    def make(place: Path) -> None:
        whole = start(place / "whole", material, parameters)
        stopped = start(place / "stopped", material, parameters)
        stopped.wait_for_step(stop_after)
        stopped.terminate()
        keep(stopped)
        keep(start(place / "resumed", material, parameters, resume_from=stopped.checkpoints()[-1]))
        keep(whole)

    return once(shared_place / f"hf-sft-{way}", make)


def test_the_loss_falls(runs):
    losses = metric(runs / "whole", "loss")

    assert losses[24] < 0.9 * losses[1]
    evaluations = metric(runs / "whole", "eval_loss")
    assert list(evaluations) == [7, 14, 21, 24]
    assert evaluations[24] < evaluations[7]


def test_a_resumed_run_logs_the_loss_of_the_uninterrupted_one_to_the_last_bit(runs):
    before, after = metric(runs / "stopped", "loss"), metric(runs / "resumed", "loss")

    assert min(after) == max(before) + 1 < 24
    assert before | after == metric(runs / "whole", "loss")
    assert metric(runs / "stopped", "eval_loss") | metric(runs / "resumed", "eval_loss") == metric(
        runs / "whole", "eval_loss"
    )


def test_a_resumed_run_ends_with_the_same_weights_and_optimizer(runs, way):
    weights = {"lora": "adapter_model.safetensors", "full": "model.safetensors"}[way]
    files = [weights, "optimizer.pt", "scheduler.pt", "rng_state.pth"]

    contents = [
        [(runs / run / "checkpoints" / "step-000024" / name).read_bytes() for name in files]
        for run in ("whole", "resumed")
    ]

    assert contents[0] == contents[1]


def test_checkpoints_lie_at_the_interval_at_the_end_and_where_it_was_stopped(runs):
    stopped_at = max(metric(runs / "stopped", "loss"))
    expected = {f"step-{step:06d}" for step in (10, 20) if step <= stopped_at} | {f"step-{stopped_at:06d}"}

    assert checkpoints(runs / "whole") == [".saving", "export-model", "step-000010", "step-000020", "step-000024"]
    assert set(checkpoints(runs / "stopped")) - {".saving"} == expected
    assert list((runs / "whole" / "checkpoints" / ".saving").iterdir()) == []


def test_a_checkpoint_holds_what_it_takes_to_go_on_and_no_pickled_settings(runs):
    files = {path.name for path in (runs / "whole" / "checkpoints" / "step-000010").iterdir()}

    assert files >= {"optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "tokenizer.json"}
    assert "training_args.bin" not in files


def test_a_run_reports_what_its_readers_expect(runs):
    report = json.loads(next(line for line in lines_of(runs / "whole") if line.startswith("{")))

    expected = {"step", "loss", "learning_rate", "grad_norm", "epoch", "tokens_per_second", "progress"}
    assert report.keys() == expected
    assert metric(runs / "whole", "progress")[24] == 1.0


def test_a_run_says_at_once_that_it_starts_and_at_last_how_it_ended(runs):
    assert lines_of(runs / "whole")[0] == "INFO hf-sft is starting"
    assert lines_of(runs / "whole")[-2:] == ["INFO Training finished after step 24", "INFO Exported export-model"]
    assert lines_of(runs / "stopped")[-1].startswith("INFO Stopped on request after step ")


def test_the_export_is_the_trained_model_in_one(runs, way, inside, tiny_llama):
    trained = runs / "whole" / "checkpoints" / "step-000024"
    exported = runs / "whole" / "checkpoints" / "export-model"

    assert (exported / "config.json").is_file()
    assert (exported / "chat_template.jinja").is_file()
    assert {
        "lora": lambda: is_merged(inside, tiny_llama, trained, exported),
        "full": lambda: inside.call(
            "tensors_are_equal", one=exported / "model.safetensors", other=trained / "model.safetensors"
        ),
    }[way]()


def is_merged(inside: Any, base: Path, adapter: Path, merged: Path) -> bool:
    """Whether the merged model answers as base and adapter do together, and not as the base alone does."""
    from_parts, from_base = inside.call("merged_differs_from_parts", base=base, adapter=adapter, merged=merged)
    return from_parts < 1e-4 and from_base > 0.1


# --- Runs of their own ----------------------------------------------------------------------------
Launch = Callable[..., TrainerProcess]


@pytest.fixture
def launch(tmp_path: Path, material: Path) -> Iterator[Launch]:
    """Start the recipe; whatever still runs at the end of the test is killed."""
    started: list[TrainerProcess] = []

    def begin(parameters: dict[str, Any], **options: Any) -> TrainerProcess:
        started.append(start(tmp_path / f"output-{len(started)}", material, parameters, **options))
        return started[-1]

    yield begin
    for process in started:
        process.kill()


def test_two_processes_stop_together_save_once_and_go_on_exactly(launch):
    two = LORA | ENDLESS | {"processes_per_node": 2, "checkpoint_interval": 3}
    constant = FAST | {"lr_schedule": "constant"}  # so that the losses do not depend on the last step
    stopped = launch(two, hyperparameters=constant)
    stopped.wait_for_step(7)
    stopped.terminate()
    stopped.expect_end()
    first, *_, last = stopped.checkpoints()

    resumed = launch(two, hyperparameters=constant, resume_from=first)
    resumed.wait_for_step(6)
    resumed.terminate_all()
    resumed.expect_end()

    assert (first.name, last.name) == ("step-000003", f"step-{max(stopped.metric('loss')):06d}")
    assert {f"rng_state_{rank}.pth" for rank in (0, 1)} <= {path.name for path in last.iterdir()}
    assert resumed.checkpoints()[-1].name == f"step-{max(resumed.metric('loss')):06d}"
    assert [resumed.metric("loss")[step] for step in (4, 5, 6)] == [stopped.metric("loss")[step] for step in (4, 5, 6)]
    assert sum("starting" in line for _, line in stopped.lines) == 1


def test_a_request_to_stop_cuts_an_evaluation_short_and_it_is_made_up_for(launch):
    # 60 rounds of evaluation: long enough for a signal to arrive within them.
    many = {"eval_examples": 60, "validation_share": 0.5, "packing": False, "eval_interval": 3, "max_steps": 6}
    given = {"dataset": "chats.jsonl", "hyperparameters": FAST | {"batch_size": 1}}
    first = launch(SMALL | many, **given)
    first.wait_for_step(3)
    first.terminate()
    first.expect_end()

    second = launch(SMALL | many, resume_from=first.checkpoints()[0], **given)
    second.expect_end()

    assert [*first.metric("eval_loss"), *second.metric("eval_loss")] == [3, 6]
    assert first.checkpoints()[0].name == "step-000003"


@pytest.mark.parametrize("way", ["lora"], indirect=True)
def test_a_finished_run_may_be_resumed_for_its_export_alone(launch, runs):
    run = launch(LORA, resume_from=runs / "whole" / "checkpoints" / "step-000024")

    run.expect_end()
    assert [line for _, line in run.lines][-2:] == [
        "INFO Nothing to train: step 24 is reached and the last one is 24",
        "INFO Exported export-model",
    ]


def test_chats_are_learned_and_a_part_is_kept_for_validation(launch):
    run = launch(
        LORA | {"max_steps": 0, "epochs": 2, "validation_share": 0.1, "eval_interval": 1000, "export": "none"},
        dataset="chats.jsonl",
    )

    run.expect_end()
    assert any("108 examples in" in line and "12 for validation" in line for _, line in run.lines)
    assert run.metric("epoch")[max(run.metric("epoch"))] == 2.0
    assert list(run.metric("eval_loss")) == [max(run.metric("loss"))]


def test_a_loss_that_is_no_number_ends_the_run_and_says_where(launch):
    run = launch(FULL | {"max_steps": 50}, hyperparameters=FAST | {"learning_rate": 1, "grad_clip": 0, "beta2": 0.0})

    run.expect_end(1)
    assert "Training diverged: the loss or its gradient is no longer a number at step" in run.last_line
