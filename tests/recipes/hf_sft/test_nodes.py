"""hf-sft on two nodes of a real Slurm with two processes each: they stop together, and go on exactly."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.slurm import Cluster
from tests.recipes.hf_sft.environment import ONE_THREAD, PYTHON, RECIPE
from tests.recipes.trainer_process import read_recipe, schema_defaults
from tests.runner.nodes import ClusterBench, slurm

EXAMPLE = RECIPE.parents[1] / "docs" / "examples" / "torchrun"
ENDLESS = 1_000_000
MODEL = {"base_model": "tiny-llama", "processes_per_node": 2, "log_interval": 1, "sequence_length": 64}
MODEL |= {"eval_interval": ENDLESS, "checkpoint_interval": ENDLESS, "lora_dropout": 0.1}
CONSTANT = {"lr_schedule": "constant", "warmup_steps": 0, "batch_size": 1, "gradient_accumulation": 1}
LOADING_SECONDS = 300.0  # four times torch and transformers, on a busy machine
Start = Callable[..., ClusterBench]

__all__ = ["slurm"]


@pytest.fixture
def start(tmp_path: Path, slurm: Cluster, material: Path) -> Iterator[Start]:
    """Return a function that submits a run over two nodes."""
    started: list[ClusterBench] = []

    def begin(max_steps: int, **claim: Any) -> ClusterBench:
        recipe, bench = read_recipe("hf-sft"), ClusterBench(tmp_path / f"bench-{len(started)}", slurm)
        started.append(bench)
        given = {"model_parameters": MODEL | {"max_steps": max_steps}, "hyperparameters": CONSTANT}
        config = {name: schema_defaults(recipe[name]) | values for name, values in given.items()}
        usual = {
            "command": [str(PYTHON), "-u", str(RECIPE / "train.py")],
            "environment": recipe["environment"] | ONE_THREAD,
            "config": config | {"dataset": "pairs", "compute": {"node_count": 2}, "resume_from": None},
            "datasets": [str(material)],
            "grace_seconds": LOADING_SECONDS,
        }
        bench.prepare(nodes=2, **(usual | claim))
        return bench

    yield begin
    for bench in started:
        bench.clear()
        bench.hub.close()


def losses(bench: ClusterBench) -> dict[int, float]:
    return dict(bench.hub.points("loss"))


def resume_from(folder: Path, step: int) -> tuple[dict[str, Any], list[bytes]]:
    """Return what a claim says of a checkpoint, and the bytes of its files."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [path.read_bytes() for path in paths]
    entries = [
        {
            "name": str(path.relative_to(folder)),
            "size_bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for path, data in zip(paths, files, strict=True)
    ]
    return {"artifact": "ckpt_1", "name": folder.name, "step": step, "is_directory": True, "files": entries}, files


def test_four_processes_on_two_nodes_stop_together_save_once_and_go_on_exactly(start: Start, tmp_path: Path) -> None:
    stopped = start(ENDLESS)
    stopped.submit()
    stopped.hub.wait(lambda: 3 in losses(stopped), LOADING_SECONDS, f"{stopped.hub.lines()}")
    stopped.stop()
    report = stopped.wait_for_report(LOADING_SECONDS)
    assert (report["exit_code"], report["was_stopped"], report["was_killed"]) == (0, True, False), stopped.hub.lines()
    last = max(losses(stopped))
    saved = f"checkpoints/step-{last:06d}"
    assert [source for source in stopped.hub.artifacts if source.startswith("checkpoints/")] == [saved]
    assert {f"rng_state_{rank}.pth" for rank in range(4)} <= {
        entry["name"] for entry in stopped.hub.artifact(saved)["files"]
    }

    folder = tmp_path / "copy" / Path(saved).name
    artifact = stopped.hub.artifact(saved)
    for index, entry in enumerate(artifact["files"]):
        path = folder / entry["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stopped.hub.bytes[(artifact["id"], index)])
    source, files = resume_from(folder, last)
    resumed = start(last + 3, resume=source)
    resumed.hub.resume_files = files
    resumed.submit()
    assert resumed.wait_for_report(LOADING_SECONDS)["exit_code"] == 0, resumed.hub.lines()

    whole = start(last + 3)
    whole.submit()
    assert whole.wait_for_report(LOADING_SECONDS)["exit_code"] == 0, whole.hub.lines()
    steps = [last + 1, last + 2, last + 3]
    assert list(losses(resumed)) == steps
    assert [losses(whole)[step] for step in steps] == [losses(resumed)[step] for step in steps]


def test_the_torchrun_example_finds_the_other_node_and_stops_together(start: Start) -> None:
    recipe = tomllib.loads((EXAMPLE / "recipe.toml").read_text())["command"]
    command = [
        word.replace("{python}", str(PYTHON)).replace("{recipe}", str(EXAMPLE))
        for word in recipe
        if word != "--standalone"
    ]
    bench = start(ENDLESS, command=command)
    bench.submit()
    bench.hub.wait(lambda: 20 in losses(bench), LOADING_SECONDS, f"{bench.hub.lines()}")

    bench.stop()

    report = bench.wait_for_report(LOADING_SECONDS)
    assert (report["was_stopped"], report["was_killed"]) == (True, False), bench.hub.lines()
    saved = [offer["step"] for source, offer in bench.hub.artifacts.items() if source.startswith("checkpoints/")]
    assert max(saved) >= max(losses(bench))
    assert {step % 200 for step in saved[:-1]} <= {0}  # at the interval, and once when it was stopped


def test_a_failing_run_names_its_node_and_marks_other_processes(start: Start, material: Path) -> None:
    bench = start(3)
    bench.hub.claim["config"]["dataset"] = "not there"
    bench.submit()

    report = bench.wait_for_report(LOADING_SECONDS)

    assert report["exit_code"] == 2
    assert "This run cannot start" in report["message"]
    assert any(line.startswith("[node 1] ") for line in bench.hub.lines())
