"""What a run of the recipe simulate must have logged and measured, to the last line and bit."""

from __future__ import annotations

import importlib.util
from typing import Any

from tests.end_to_end.hub import ROOT, Hub

_source = importlib.util.spec_from_file_location("curves", ROOT / "recipes" / "simulate" / "curves.py")
assert _source
assert _source.loader
curves = importlib.util.module_from_spec(_source)
_source.loader.exec_module(curves)

KEYS = ("loss", "accuracy", "throughput_tokens_per_s", "gpu_utilization")


def parameters(max_steps: int, *, steps_per_second: int = 40, every: int = 20) -> dict[str, Any]:
    """Return the parameters of a run that evaluates and saves `every` so many steps and reports 8 times a second."""
    return {"max_steps": max_steps, "steps_per_second": steps_per_second, "eval_interval": every}


def expected_steps(given: dict[str, Any], first: int = 1, last: int | None = None) -> list[int]:
    """Return the steps that are reported from step `first` on."""
    end = last or given["max_steps"]
    interval = max(1, round(given["steps_per_second"] / 8))
    every = {first, given["max_steps"]}
    every |= {step for step in range(first, end + 1) if step % interval == 0 or step % given["eval_interval"] == 0}
    return sorted(step for step in every if step <= end)


def expected_lines(seed: str, given: dict[str, Any]) -> list[str]:
    """Return the whole standard output, metric lines left out, of a run that was not stopped."""
    end = given["max_steps"]
    lines = [
        "INFO Simulation: no model is trained, all numbers are made up",
        f"INFO Steps 1 to {end} at {given['steps_per_second']} per second",
    ]
    for step in expected_steps(given):
        lines.append(f"INFO Step {step} - loss={curves.metrics_at(seed, step, end)['loss']:.2f} lr=2e-05")
        if step == end or step % given["eval_interval"] == 0:
            lines.append(f"INFO Saved checkpoint step-{step:06d}")
    return [*lines, f"INFO Finished after step {end}"]


def assert_whole(hub: Hub, path: str, given: dict[str, Any]) -> None:
    """Every line and point of a completed run is there once, in order, with its exact value."""
    seed = path.rpartition("/")[2]
    assert hub.messages(path) == expected_lines(seed, given)
    for key in KEYS:
        series = hub.series(path, key)
        assert series["step"] == expected_steps(given)
        assert series["value"] == [curves.metrics_at(seed, step, given["max_steps"])[key] for step in series["step"]]
