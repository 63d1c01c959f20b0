"""Counts trained tokens and the seconds spent on them, for tokens per second and model FLOP utilisation."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import torch

from hf_sft.flops import TokenCost


class Throughput:
    """Tokens and seconds of all processes since the last report, without the time of evaluations and checkpoints."""

    def __init__(self, cost: TokenCost | None, peak: float | None) -> None:
        """`peak`: FLOP/s of all devices together, None when it is not known; then the utilisation is left out."""
        self._cost, self._peak = cost, peak
        self._started_at = time.perf_counter()
        self._seconds = 0.0
        self._counts: torch.Tensor | None = None  # tokens, and tokens times the length of their row

    def count(self, token_count: torch.Tensor, row_length: int) -> None:
        """Add a batch of this process; `token_count` has shape (1,) and may lie on a GPU, which is not waited for."""
        added = torch.cat([token_count, token_count * row_length]).to(torch.float64)
        self._counts = added if self._counts is None else self._counts + added

    def restart(self) -> None:
        """Begin to measure: nothing before this moment counts."""
        self._started_at, self._seconds, self._counts = time.perf_counter(), 0.0, None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the time of a block."""
        self._seconds += time.perf_counter() - self._started_at
        try:
            yield
        finally:
            self._started_at = time.perf_counter()

    def report(self, accelerator: Any) -> dict[str, float]:
        """Return the metrics since the last report and begin anew; all processes must call it."""
        with self.paused():
            if self._counts is None or self._seconds <= 0:
                return {}
            tokens, row_tokens = accelerator.reduce(self._counts, "sum").tolist()
            metrics = {"tokens_per_second": tokens / self._seconds}
            if self._cost is not None and self._peak is not None:
                flop = tokens * self._cost.weights + row_tokens * self._cost.attention
                metrics["model_flops_utilization"] = flop / self._seconds / self._peak
            self._seconds, self._counts = 0.0, None
        return metrics
