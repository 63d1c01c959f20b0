"""What the newest values of a run's metrics tell in a word: its loss, and what it makes of its GPUs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from runs.models import RunMetric

# What the runner samples of each GPU that the trainer sees; with several nodes, of each node's.
PREFIXES = ("system/gpu.", "system/node.")
SAMPLED = re.compile(r"system/(?:node\.\d+\.)?gpu\.\d+\.(utilization|memory_bytes)")
MEAN = "gpu_utilization"  # over all of them


LOSSES = ("loss", "train_loss", "train/loss")  # of training, before all others


def choose_loss(metrics: Iterable[RunMetric]) -> RunMetric | None:
    """Return the newest training loss, else another loss, else None."""
    losses = {metric.key: metric for metric in metrics if "loss" in metric.key}
    return next(filter(None, [*map(losses.get, LOSSES), *losses.values()]), None)


@dataclass(frozen=True)
class GpuUse:
    """`utilization` is the mean over the GPUs, 0 to 1; `memory_bytes` what is in use on all together; None: unknown."""

    utilization: float | None
    memory_bytes: float | None
    gpus: int


def gpu_use(metrics: Iterable[RunMetric]) -> GpuUse | None:
    """Return the use of GPUs that newest values tell; None when they tell nothing of any."""
    values = {one.key: one.value for one in metrics if one.value is not None and math.isfinite(one.value)}
    sampled = [(match[1], value) for key, value in values.items() if (match := SAMPLED.fullmatch(key))]
    utilizations = [value for name, value in sampled if name == "utilization"]
    memories = [value for name, value in sampled if name == "memory_bytes"]
    mean = sum(utilizations) / len(utilizations) if utilizations else values.get(MEAN)
    if mean is None and not memories:
        return None
    return GpuUse(mean, sum(memories) if memories else None, max(len(utilizations), len(memories)))
