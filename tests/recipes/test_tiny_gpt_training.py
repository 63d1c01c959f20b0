"""tiny-gpt trained as a real process: learning, stopping, resuming, refusing."""

import json
import shutil
from pathlib import Path

import pytest
from tiny_gpt.checkpoint import load_checkpoint
from tiny_gpt.errors import UnusableInput
from tiny_gpt.settings import ModelShape

from tests.recipes.trainer_process import SMALL_MODEL, TrainerProcess

SHAPE = ModelShape(**{name: SMALL_MODEL[name] for name in ("n_layer", "n_head", "n_embd", "context_length")})
STEPS = SMALL_MODEL | {"max_steps": 60, "eval_interval": 7, "checkpoint_interval": 20}
ENDLESS = STEPS | {"max_steps": 1_000_000, "eval_interval": 1_000_000, "checkpoint_interval": 1_000_000}
# Large enough that a step takes longer than a signal needs to arrive.
BATCHES = {"batch_size": 16, "gradient_accumulation": 2}


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite_the_middle(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8] = b"\xff" * 8
    path.write_bytes(content)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A training that was never interrupted."""
    run = TrainerProcess(
        "tiny-gpt", tmp_path_factory.mktemp("whole") / "output", model_parameters=STEPS, hyperparameters=BATCHES
    )
    run.expect_end()
    return run


@pytest.fixture(scope="module", params=[1, 7, 25])
def stopped_and_resumed_runs(request, tmp_path_factory):
    """The same training, stopped after seeing a step, and resumed in another folder."""
    folder = tmp_path_factory.mktemp("resumed")
    stopped = TrainerProcess("tiny-gpt", folder / "stopped", model_parameters=STEPS, hyperparameters=BATCHES)
    stopped.wait_for_step(request.param)
    stopped.terminate()
    stopped.expect_end()
    resumed = TrainerProcess(
        "tiny-gpt",
        folder / "resumed",
        model_parameters=STEPS,
        hyperparameters=BATCHES,
        resume_from=stopped.checkpoints()[-1],
    )
    resumed.expect_end()
    return stopped, resumed


def test_a_resumed_run_logs_the_loss_of_the_uninterrupted_one_to_the_last_bit(whole_run, stopped_and_resumed_runs):
    stopped, resumed = stopped_and_resumed_runs

    assert 0 < len(resumed.metric("loss")) < 60
    assert stopped.metric("loss") | resumed.metric("loss") == whole_run.metric("loss")


def test_a_resumed_run_ends_with_the_same_files_byte_for_byte(whole_run, stopped_and_resumed_runs):
    _, resumed = stopped_and_resumed_runs
    files = ["checkpoints/step-000060/weights.npz", "checkpoints/step-000060/optimizer.npz"]
    files += ["checkpoints/step-000060/state.json", "evaluations/step-000060.json"]

    contents = [[(run.output_dir / name).read_bytes() for name in files] for run in (whole_run, resumed)]

    assert contents[0] == contents[1]


def test_a_stopped_and_a_resumed_run_together_make_every_evaluation(whole_run, stopped_and_resumed_runs):
    stopped, resumed = stopped_and_resumed_runs

    assert stopped.metric("val_loss") | resumed.metric("val_loss") == whole_run.metric("val_loss")


def test_a_run_reports_what_its_readers_expect(whole_run):
    report = json.loads(next(line for _, line in whole_run.lines if line.startswith("{")))

    expected = {"step", "loss", "accuracy", "learning_rate", "throughput_tokens_per_s", "grad_norm", "progress"}
    assert report.keys() == expected


def test_a_run_ends_with_full_progress(whole_run):
    assert whole_run.metric("progress")[60] == 1.0


def test_checkpoints_lie_at_the_interval_and_at_the_end(whole_run):
    assert [path.name for path in whole_run.checkpoints()] == ["step-000020", "step-000040", "step-000060"]


def test_nothing_unfinished_is_left_behind(whole_run):
    assert not list(whole_run.output_dir.rglob(".tmp-*"))


def test_an_evaluation_holds_prompt_and_sample(whole_run):
    evaluation = json.loads((whole_run.output_dir / "evaluations" / "step-000007.json").read_text())

    assert evaluation.keys() == {"step", "val_loss", "prompt", "sample"}
    assert evaluation["sample"]


def test_the_first_line_comes_before_the_libraries_are_loaded(launch):
    run = launch("tiny-gpt", model_parameters=ENDLESS)
    run.wait_for(lambda line: line.startswith("INFO Dataset"))

    # Compared with the next line and not with a number, which a busy machine would exceed: 0.02 s against 0.15 s.
    assert run.lines[0][1] == "INFO tiny-gpt is starting"
    assert run.lines[0][0] < run.lines[1][0] / 2


def test_the_loss_halves_on_an_easy_text(launch, text_file):
    run = launch(
        "tiny-gpt",
        model_parameters=SMALL_MODEL | {"max_steps": 150},
        hyperparameters={"learning_rate": 0.01, "warmup_steps": 10},
        dataset=text_file.name,
        dataset_roots=(text_file.parent,),
    )
    run.expect_end()

    assert run.metric("loss")[150] < run.metric("loss")[1] / 2


def test_sigterm_leaves_a_whole_checkpoint_of_the_last_step(launch):
    run = launch("tiny-gpt", model_parameters=ENDLESS)
    run.wait_for_step(3)
    run.terminate()
    run.expect_end()

    checkpoint = load_checkpoint(run.checkpoints()[-1], SHAPE)
    assert checkpoint.step == max(run.metric("loss"))


def test_sigterm_before_the_first_step_ends_well(launch):
    run = launch("tiny-gpt", model_parameters=ENDLESS)
    run.wait_for(lambda line: line.startswith("INFO Dataset"))
    run.terminate()
    run.expect_end()

    assert len(run.checkpoints()) == 1


def test_sigterm_cuts_an_evaluation_short(launch):
    run = launch("tiny-gpt", model_parameters=ENDLESS | {"eval_interval": 1, "sample_bytes": 1_000_000})
    run.wait_for_step(1)
    run.terminate()
    run.expect_end()

    assert [path.name for path in run.checkpoints()] == ["step-000001"]
    assert not list(run.output_dir.glob("evaluations/*"))


def test_an_evaluation_cut_short_is_made_up_for_on_resuming(launch):
    endless_sample = ENDLESS | {"eval_interval": 1, "sample_bytes": 1_000_000}
    stopped = launch("tiny-gpt", "stopped", model_parameters=endless_sample)
    stopped.wait_for_step(1)
    stopped.terminate()
    stopped.exit_code()
    resumed = launch(
        "tiny-gpt",
        "resumed",
        model_parameters=STEPS | {"eval_interval": 1, "max_steps": 2},
        resume_from=stopped.checkpoints()[0],
    )
    resumed.exit_code()

    assert list(resumed.metric("val_loss")) == [1, 2]


def test_a_killed_run_leaves_only_whole_checkpoints(launch):
    run = launch("tiny-gpt", model_parameters=ENDLESS | {"checkpoint_interval": 1})
    run.wait_for_step(10)
    run.kill()

    steps = [load_checkpoint(path, SHAPE).step for path in run.checkpoints()]
    assert steps[:8] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_hyperparameters_and_length_may_change_on_resuming(launch, whole_run):
    run = launch(
        "tiny-gpt",
        model_parameters=STEPS | {"max_steps": 62},
        hyperparameters={"learning_rate": 1e-5, "batch_size": 4},
        resume_from=whole_run.checkpoints()[-1],
    )
    run.expect_end()

    assert list(run.metric("loss")) == [61, 62]
    assert run.metric("learning_rate")[61] < 1e-5


def test_resuming_into_the_folder_of_the_checkpoint_works(launch):
    first = launch("tiny-gpt", model_parameters=STEPS | {"max_steps": 40})
    first.exit_code()
    resumed = launch(
        "tiny-gpt", model_parameters=STEPS | {"max_steps": 40}, resume_from=first.output_dir / "checkpoints/step-000020"
    )
    resumed.expect_end()

    assert [path.name for path in resumed.checkpoints()] == ["step-000020", "step-000040"]


def test_resuming_at_the_end_has_nothing_to_train(launch, whole_run):
    run = launch("tiny-gpt", model_parameters=STEPS, resume_from=whole_run.checkpoints()[-1])
    run.expect_end()

    assert run.last_line.startswith("INFO Nothing to train")


def test_a_checkpoint_of_another_model_is_refused(launch, whole_run):
    run = launch("tiny-gpt", model_parameters=STEPS | {"n_embd": 64}, resume_from=whole_run.checkpoints()[-1])
    run.expect_end(2)

    assert "n_embd is 32, the run asks for 64" in run.last_line


@pytest.mark.parametrize("name", ["weights.npz", "optimizer.npz", "state.json"])
@pytest.mark.parametrize("damage", [Path.unlink, cut_in_half, overwrite_the_middle])
def test_a_damaged_checkpoint_is_refused(whole_run, tmp_path, name, damage):
    checkpoint = shutil.copytree(whole_run.checkpoints()[-1], tmp_path / "step-000060")
    damage(checkpoint / name)

    with pytest.raises(UnusableInput, match="damaged"):
        load_checkpoint(checkpoint, SHAPE)


def test_a_damaged_checkpoint_ends_the_run_with_plain_words(launch, tmp_path):
    run = launch("tiny-gpt", model_parameters=STEPS, resume_from=tmp_path / "step-000060")
    run.expect_end(2)

    assert run.last_line.startswith("ERROR This run cannot start: the checkpoint step-000060 is damaged or incomplete")


def test_a_dataset_outside_the_allowed_folders_ends_the_run_with_plain_words(launch, text_file, tmp_path):
    run = launch("tiny-gpt", model_parameters=STEPS, dataset=str(text_file), dataset_roots=(tmp_path / "elsewhere",))
    run.expect_end(2)

    assert run.last_line.startswith("ERROR This run cannot start: there is no dataset")


@pytest.mark.parametrize(
    ("model_parameters", "hyperparameters", "expected"),
    [
        ({"n_head": 3}, {}, "must be divisible by n_head"),
        ({"context_length": 512, "n_head": 16}, {"batch_size": 256}, "GiB"),
    ],
)
def test_settings_that_cannot_work_are_refused(launch, model_parameters, hyperparameters, expected):
    run = launch("tiny-gpt", model_parameters=STEPS | model_parameters, hyperparameters=hyperparameters)
    run.expect_end(2)

    assert expected in run.last_line


def test_a_loss_that_is_no_number_fails_the_run_with_plain_words(launch):
    run = launch("tiny-gpt", model_parameters=STEPS, hyperparameters={"learning_rate": 1e30, "grad_clip": 0})
    run.expect_end(1)

    assert run.last_line.startswith("ERROR Training diverged")
