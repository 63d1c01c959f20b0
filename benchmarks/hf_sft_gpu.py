"""Trains a random Llama of some 170 million weights with the program of hf-sft on this machine's GPU, without a hub.

`python benchmarks/hf_sft_gpu.py [--steps 60] [--method full] [--cpu]`, with an interpreter that has torch,
transformers, peft and accelerate. No network is used. It prints tokens per second, model FLOP utilisation and peak
memory, then stops a second training half way and resumes it, and compares the losses. `--cpu` tries the script itself,
with a tiny model.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "hf-sft"
NEEDED = ("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors", "numpy", "jinja2")
LIMIT_SECONDS = 480.0  # of one training


def main() -> int:
    """Run everything; returns 1 when something is missing or the resumed training went another way."""
    options = read_options()
    if missing := print_versions():
        print(
            f"Missing: {', '.join(missing)}. Use an interpreter that has them, such as recipes/hf-sft/.venv/bin/python."
        )
        return 1
    with tempfile.TemporaryDirectory(prefix="hf-sft-gpu-") as place:
        root = Path(place)
        make_material(root / "data", is_small=options.cpu)
        whole = train(root, "whole", options)
        print_speed(whole, options)
        half = options.steps // 2
        stopped = train(root, "stopped", options, stop_at=half)
        checkpoint = max((root / "stopped" / "checkpoints").glob("step-*"))
        resumed = train(root, "resumed", options, resume_from=checkpoint)
        return compare(series(whole, "loss"), series(stopped, "loss"), series(resumed, "loss"))


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--method", choices=["lora", "full"], default="full")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--sequence-length", type=int, default=1024)
    parser.add_argument("--cpu", action="store_true")
    return parser.parse_args()


def print_versions() -> list[str]:
    """Print versions and GPUs; returns the packages that are not there."""
    missing = []
    for name in NEEDED:
        try:
            print(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if not missing:
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        print(f"CUDA {torch.version.cuda}, GPUs: {[torch.cuda.get_device_name(index) for index in range(count)]}")
    return missing


def make_material(folder: Path, *, is_small: bool) -> None:
    """Write a random Llama with a byte tokenizer, and prompts with completions in which something can be learned."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

    folder.mkdir()
    draw, words = random.Random(1), [f"word{number}" for number in range(200)]
    with (folder / "pairs.jsonl").open("w") as file:
        for _ in range(200 if is_small else 4000):
            said = draw.choices(words, k=draw.randint(10, 60))
            pair = {"prompt": f"Turn round: {' '.join(said)}\n", "completion": " ".join(reversed(said))}
            file.write(json.dumps(pair) + "\n")
    alphabet = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(
        folder / "llama"
    )
    set_seed(1)
    width, layers = (64, 2) if is_small else (1024, 12)
    config = LlamaConfig(
        vocab_size=8192,  # far more than there are tokens: the head's share of the work should be that of a real model
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 16 if is_small else width // 64,
        max_position_embeddings=4096,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(config)
    print(f"Model: {sum(weight.numel() for weight in model.parameters()):,} weights")
    model.save_pretrained(folder / "llama")


def configuration(options: argparse.Namespace, resume_from: Path | None) -> dict[str, Any]:
    """Return what the runner would write for the trainer: the recipe's defaults with this benchmark's values."""
    declared = tomllib.loads((RECIPE / "recipe.toml").read_text())
    given: dict[str, dict[str, Any]] = {
        "model_parameters": {
            "base_model": "llama",
            "method": options.method,
            "max_steps": options.steps,
            "sequence_length": options.sequence_length,
            "log_interval": 1,
            "eval_interval": options.steps,
            "eval_examples": 64,
            "checkpoint_interval": options.steps,
        },
        "hyperparameters": {"batch_size": options.batch_size, "gradient_accumulation": 1, "warmup_steps": 5},
    }
    for group, values in given.items():
        properties = declared[group]["properties"]
        given[group] = {name: values.get(name, rule.get("default")) for name, rule in properties.items()}
    compute = {} if options.cpu else {"gpus_per_node": 1}
    return {"dataset": "pairs.jsonl", "compute": compute, "resume_from": resume_from and str(resume_from), **given}


def train(
    root: Path, name: str, options: argparse.Namespace, *, resume_from: Path | None = None, stop_at: int | None = None
) -> list[dict[str, float]]:
    """Train in a process of its own, with SIGTERM at step `stop_at`; returns the metric lines.

    The highest memory of the GPU is that of the whole device, as nvidia-smi has it, asked at every tenth step.
    """
    output = root / name
    output.mkdir()
    (output / "config.json").write_text(json.dumps(configuration(options, resume_from)))
    variables = {
        "TRAINHUB_CONFIG": str(output / "config.json"),
        "TRAINHUB_OUTPUT_DIR": str(output),
        "TRAINHUB_DATASETS": str(root / "data"),
        "HF_HUB_OFFLINE": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-u", str(RECIPE / "train.py")],
        env={**os.environ, **variables},
        cwd=output,
        stdout=subprocess.PIPE,
        text=True,
    )
    signal.alarm(int(LIMIT_SECONDS))  # ends this program, and with it the pipe, should a training hang
    metrics = []
    assert process.stdout
    for line in process.stdout:
        if not line.startswith("{"):
            print(f"{name}: {line}", end="")
            continue
        metrics.append(json.loads(line))
        if metrics[-1]["step"] % 10 == 0 and not options.cpu:
            metrics[-1]["memory_bytes"] = device_memory_bytes()
        if stop_at is not None and metrics[-1]["step"] >= stop_at:
            process.terminate()
    code = process.wait()
    signal.alarm(0)
    if code != 0:
        sys.exit(f"{name} ended with code {code}")
    return metrics


def device_memory_bytes() -> float:
    """Return the memory in use on the first GPU, 0 where nvidia-smi does not tell."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", "0"]
    try:
        return float(subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout) * 2**20
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0.0


def series(metrics: list[dict[str, float]], name: str) -> dict[int, float]:
    """Return one metric by step."""
    return {int(report["step"]): report[name] for report in metrics if name in report}


def print_speed(metrics: list[dict[str, float]], options: argparse.Namespace) -> None:
    """Print the medians of the second half, when everything is warm."""

    def median(name: str) -> float | None:
        values = sorted(value for step, value in series(metrics, name).items() if step > options.steps // 2)
        return values[len(values) // 2] if values else None

    losses, utilization = series(metrics, "loss"), median("model_flops_utilization")
    print(f"loss: {losses[1]:.4f} at step 1, {losses[options.steps]:.4f} at step {options.steps}")
    print(f"tokens per second: {median('tokens_per_second'):,.0f}")
    print(f"model FLOP utilisation: {'not known here' if utilization is None else f'{utilization:.1%}'}")
    print(f"peak memory of the device: {max(series(metrics, 'memory_bytes').values(), default=0) / 2**30:.2f} GiB")


def compare(whole: dict[int, float], stopped: dict[int, float], resumed: dict[int, float]) -> int:
    """Print how far the resumed training is from the uninterrupted one; returns 1 when it is another one."""
    joined = stopped | resumed
    print(f"stopped after step {max(stopped)}, resumed with step {min(resumed)}")
    differences = {step: abs(joined[step] - whole[step]) for step in whole}
    before, after = (max(differences[step] for step in part) for part in (stopped, resumed))
    print(f"greatest difference of a loss from the uninterrupted run: {before:.2e} before the stop, {after:.2e} after")
    # A GPU's sums may differ in their last bits from run to run; wrong data or a fresh optimizer differ by far more.
    is_same = min(resumed) == max(stopped) + 1 and after <= max(1e-2, 10 * before)
    print("resumed as the same training" if is_same else "NOT the same training")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
