"""GPU use from nvidia-smi, of the GPUs that the trainer may see."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Final

FIELDS: Final = "index,uuid,utilization.gpu,memory.used,power.draw,temperature.gpu"
TIMEOUT_SECONDS: Final = 5.0
MIB: Final = 1024**2
# metric name and what its unit is multiplied by: percent to 0..1, MiB to bytes, watts, degrees Celsius
COLUMNS: Final = (
    ("utilization", 0.01),
    ("memory_bytes", MIB),
    ("power_watts", 1),
    ("temperature_celsius", 1),
)


class GpuReader:
    """Calls nvidia-smi. `pid` is the running call's process, so that nobody kills it as a leftover."""

    def __init__(self, visible: str | None) -> None:
        """`visible`: the trainer's CUDA_VISIBLE_DEVICES, None when it is not set."""
        self._visible = visible
        self._program = shutil.which("nvidia-smi")
        self.pid: int | None = None

    def read(self) -> dict[str, float]:
        """Return metrics; empty when there is no GPU, no nvidia-smi, or it fails."""
        if not self._program:
            return {}
        try:
            return parse(self._call(), self._visible)
        except (OSError, ValueError, subprocess.SubprocessError):
            return {}

    def _call(self) -> str:
        environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        arguments = [str(self._program), f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits"]
        process = subprocess.Popen(
            arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        self.pid = process.pid
        try:
            return process.communicate(timeout=TIMEOUT_SECONDS)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            self.pid = None


def parse(text: str, visible: str | None) -> dict[str, float]:
    """Return metrics from nvidia-smi's lines. `gpu.0` is the first GPU that the trainer sees.

    Values that the driver does not give ("[N/A]") are left out.
    """
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    rows = _select([row for row in rows if len(row) == 2 + len(COLUMNS)], visible)
    metrics: dict[str, float] = {}
    for position, row in enumerate(rows):
        for (name, factor), cell in zip(COLUMNS, row[2:], strict=True):
            value = _read_number(cell)
            if value is not None:
                metrics[f"system/gpu.{position}.{name}"] = value * factor
    utilizations = [value for key, value in metrics.items() if key.endswith(".utilization")]
    if utilizations:
        metrics["gpu_utilization"] = sum(utilizations) / len(utilizations)
    return metrics


def _select(rows: list[list[str]], visible: str | None) -> list[list[str]]:
    """Return the rows that CUDA_VISIBLE_DEVICES names, in its order; as CUDA does, stop at an unknown one."""
    if visible is None:
        return rows
    selected = []
    for word in (word.strip() for word in visible.split(",")):
        row = next((row for row in rows if word == row[0] or (len(word) > 4 and row[1].startswith(word))), None)
        if row is None:
            break
        selected.append(row)
    return selected


def _read_number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def visible_devices(environment: Mapping[str, str]) -> str | None:
    """Return which GPUs a process with this environment may see; None means all."""
    return environment.get("CUDA_VISIBLE_DEVICES")
