"""Learns y = 3x - 1 from noisy points: the smallest program that reports, saves, stops and resumes as a trainer should.

Standard library alone. Copy it as a beginning, or bring a program of your own; docs/recipes.md shows how.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

SAVE_EVERY = 200  # steps
SECONDS_OF_A_STEP = 0.005  # a real training needs no help to be slow


def main() -> int:
    """Train as TRAINHUB_CONFIG says; returns the exit code."""
    config = json.loads(Path(os.environ["TRAINHUB_CONFIG"]).read_text(encoding="utf-8"))
    folder = Path(os.environ["TRAINHUB_OUTPUT_DIR"], "checkpoints")
    folder.mkdir(exist_ok=True)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
    noise = random.Random(1)
    state = begin(noise)
    rate = float(config["hyperparameters"].get("learning_rate", 0.01))
    last_step = int(config["model_parameters"].get("max_steps", 2000))
    while state["step"] < last_step and not stopping:
        loss = train_step(state, rate, noise)
        if state["step"] % 10 == 0 or state["step"] == last_step:
            print(json.dumps({"step": state["step"], "loss": loss, "progress": state["step"] / last_step}))
        if state["step"] % SAVE_EVERY == 0:
            save(state, noise, folder)
        time.sleep(SECONDS_OF_A_STEP)
    save(state, noise, folder)
    print(f"INFO After step {state['step']}: y = {state['slope']:.2f} x + {state['offset']:.2f}")
    return 0


def begin(noise: random.Random) -> dict[str, Any]:
    """Return where to go on: the checkpoint's state, its random numbers included, or a fresh one."""
    resume_from = os.environ.get("TRAINHUB_RESUME_FROM")
    if resume_from is None:
        return {"step": 0, "slope": 0.0, "offset": 0.0}
    saved: dict[str, Any] = json.loads(Path(resume_from).read_text(encoding="utf-8"))
    version, numbers, rest = saved.pop("noise")
    noise.setstate((version, tuple(numbers), rest))
    print(f"INFO Resuming after step {saved['step']}")
    return saved


def train_step(state: dict[str, Any], rate: float, noise: random.Random) -> float:
    """Learn from one point; returns the squared error before."""
    x = noise.uniform(-1, 1)
    error: float = state["slope"] * x + state["offset"] - (3 * x - 1 + noise.gauss(0, 0.1))
    state["slope"] -= rate * error * x
    state["offset"] -= rate * error
    state["step"] += 1
    return error**2


def save(state: dict[str, Any], noise: random.Random, folder: Path) -> None:
    """Write a checkpoint under a name that is not looked at, then give it its own: it is whole or absent."""
    unfinished = folder / ".unfinished"
    unfinished.write_text(json.dumps({**state, "noise": noise.getstate()}), encoding="utf-8")
    unfinished.rename(folder / f"step-{state['step']:06d}.json")


if __name__ == "__main__":
    sys.exit(main())
